# What virtual machines are made of: QEMU and kernels of Debian. Sourced by ./dev.

# setup_machine: kernels in .tools/machine/linux-SERIES (vmlinuz and lib/modules), each fetched only
# when it is missing. The distribution's own kernel is needed; a second, newer one is there on Debian 12.
setup_machine() {
  [ "$(uname -m)" = x86_64 ] || die "virtual machines are of this machine's kind here, and only x86_64 is provided for"
  setup_packages qemu-system-x86:/usr/bin/qemu-system-x86_64 kmod:/usr/sbin/depmod \
    busybox:/usr/bin/busybox e2fsprogs:/usr/sbin/mke2fs socat:/usr/bin/socat || return
  setup_kernel linux-image-cloud-amd64 || die "no kernel to be had: apt-get download failed; its output is in .tools/apt.log"
  setup_kernel linux-image-6.12-cloud-amd64 || say "this distribution has no second kernel: tests run on the first alone"
}

# setup_kernel PACKAGE: the kernel that the package stands for.
setup_kernel() {
  local package=$1 image work
  mkdir -p "$TOOLS/machine"
  [ ! -e "$TOOLS/machine/$package" ] || return 0
  image=$(kernel_image "$package")
  [ -n "$image" ] || { apt update >>"$TOOLS/apt.log" 2>&1; image=$(kernel_image "$package"); }
  [ -n "$image" ] || return 1
  say "fetching $image …"
  work=$(mktemp -d "$TOOLS/fetch.XXXXXX")
  (cd "$work" && { apt download "$image" || { apt update && apt download "$image"; }; } &&
    dpkg-deb -x ./*.deb .) >>"$TOOLS/apt.log" 2>&1 || { rm -rf "$work"; return 1; }
  take_kernel "$work" "$TOOLS/machine" || { rm -rf "$work"; return 1; }
  rm -rf "$work"
  echo "$image" >"$TOOLS/machine/$package"
}

# take_kernel ROOT DIRECTORY: what a package of a kernel has below ROOT becomes DIRECTORY/linux-SERIES.
take_kernel() {
  local root=$1 version target
  version=$(ls "$root/lib/modules")
  target="$2/linux-$(cut -d. -f1,2 <<<"$version")"
  [ ! -e "$target" ] || return 0
  # Busybox' modprobe reads no compressed modules, and a machine of ours has no other hardware.
  find "$root/lib/modules" -name '*.ko.xz' -exec xz --decompress {} +
  rm -rf "$root/lib/modules/$version/kernel"/drivers/{comedi,hid,infiniband,scsi,md,target,ata,nvme,net/ethernet,net/hyperv}
  depmod --basedir "$root" "$version" && mkdir -p "$root/kernel/lib" &&
    mv "$root/boot/vmlinuz-$version" "$root/kernel/vmlinuz" &&
    mv "$root/lib/modules" "$root/kernel/lib/" && mv "$root/kernel" "$target"
}

# kernel_image PACKAGE [OPTION…]: the package of the kernel that PACKAGE stands for.
kernel_image() {
  apt-cache "${@:2}" depends --important "$1" 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }'
}
