# What the look-alikes share. Sourced; it leaves $host (the agent's end), $inside and $number.
set -e
cat >/dev/null
[ "$CNI_COMMAND" = ADD ] || exit 0
mkdir -p /run/lookalikes
number=$(($(ls /run/lookalikes | wc -l) + 10))
: >"/run/lookalikes/$CNI_CONTAINERID"
inside="nsenter --net=$CNI_NETNS"

# wire NAME MTU: a pair of veths, its end here with that name
wire() {
  host=$1
  $inside ip link add "$CNI_IFNAME" mtu "$2" type veth peer name "$host" mtu "$2" netns $$
  $inside ip link set "$CNI_IFNAME" up
  ip link set "$host" up
}

# result ADDRESS [GATEWAY [ROUTES]]
result() {
  printf '{"cniVersion":"0.3.1","ips":[{"version":"4","address":"%s"%s}],"routes":[%s]}\n' \
    "$1" "${2:+,\"gateway\":\"$2\"}" "${3:-}"
}
