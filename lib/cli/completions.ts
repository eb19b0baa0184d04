import { type Command, UsageError } from "./command.ts";
import { print } from "./output.ts";

export const command: Command = {
  name: "completions",
  operands: "bash|zsh|fish",
  flags: [],
  complete: ["bash", "zsh", "fish"],
  examples: [[
    "mesos-cni completions bash > /etc/bash_completion.d/mesos-cni",
    "commands, flags, container ids and network names, at the next login",
  ]],
  run(call) {
    const [shell] = call.operands;
    if (shell === undefined || !Object.hasOwn(SCRIPTS, shell)) {
      throw new UsageError(`which shell: ${Object.keys(SCRIPTS).join(", ")}?`);
    }
    print(SCRIPTS[shell]!.trim());
  },
};

/** The scripts by shell. Each asks `mesos-cni complete`, and knows files and directories by itself. */
export const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `
# bash completion of mesos-cni
_mesos_cni() {
  local words candidates candidate line=\${COMP_LINE:0:COMP_POINT}
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local current=\${words[-1]}
  # Bash completes what follows the last "=", ":" or space.
  local partial=\${current##*[=:]}
  COMPREPLY=()
  while IFS= read -r candidate; do
    case $candidate in
      $'\\e'files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$partial") ;;
      $'\\e'directories) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$partial") ;;
      *=) compopt -o nospace; COMPREPLY+=("$candidate") ;;
      *) COMPREPLY+=("\${candidate#"\${current%"$partial"}"}") ;;
    esac
  done < <("\${words[0]}" complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _mesos_cni mesos-cni
`,
  zsh: `
#compdef mesos-cni
# zsh completion of mesos-cni
_mesos_cni() {
  local candidate
  local -a candidates
  candidates=("\${(@f)$("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for candidate in $candidates; do
    case $candidate in
      $'\\e'files) compset -P '*='; _files ;;
      $'\\e'directories) compset -P '*='; _files -/ ;;
      *=) compadd -S '' -- $candidate ;;
      ?*) compadd -- $candidate ;;
    esac
  done
}
if [ "$funcstack[1]" = "_mesos_cni" ]; then
  _mesos_cni "$@"
else
  compdef _mesos_cni mesos-cni
fi
`,
  fish: `
# fish completion of mesos-cni
function __mesos_cni
  set -l words (commandline -opc) (commandline -ct)
  set -l current $words[-1]
  set -l prefix (string match -r '^.*=' -- $current)
  for candidate in ($words[1] complete -- $words[2..-1] 2>/dev/null)
    switch $candidate
      case \\efiles
        __fish_complete_path (string replace -r '^.*=' '' -- $current) | string replace -r '^' -- "$prefix"
      case \\edirectories
        __fish_complete_directories (string replace -r '^.*=' '' -- $current) | string replace -r '^' -- "$prefix"
      case '*'
        echo $candidate
    end
  end
end
complete -c mesos-cni -f -a '(__mesos_cni)'
`,
};
