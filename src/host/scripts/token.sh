# the token of the refit that has the cluster: whoever shows a lower one was overtaken
home=/var/lib/refit
know() { # sets known
  known=0
  if [ -e $home/token ]; then known=$(cat $home/token) || die "$home/token cannot be read"; fi
  case $known in '' | *[!0-9]*) die "$home/token does not hold a number" ;; esac
}
learn() { # $1: a token that is not lower than the known one
  [ "$1" = "$known" ] && return
  printf '%s\n' "$1" > $home/token.new && sync $home/token.new && mv -f $home/token.new $home/token && sync $home ||
    die "$home/token cannot be written"
  known=$1
}
