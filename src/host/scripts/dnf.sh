# dnf 4 and yum have versionlock as a plugin; dnf 5 has it built in, and one setting against locks and excludes alike
past_holds() { # ARGUMENT...: the package manager, without what keeps packages at their revision
  case $("$manager" --version 2>/dev/null) in
    dnf5*) "$manager" '--setopt=disable_excludes=*' "$@" ;;
    *) "$manager" --disableplugin=versionlock --disableexcludes=all "$@" ;;
  esac
}
