// The last part of the wrapper for Linux guests (see posix-wrapper.ts): installation, removal, and the commands.

export const posixInstall = `# The directory that the guest's own environment names, as this account sees it; sudo would not tell.
cmd_ask() {
  begin
  printf 'directory %s\\nend\\n' "\${COLDFRAME_GUEST_DIRECTORY:-}"
}

# Makes coldframe-$1 in memory-backed storage, $2 being the operator's own choice of where, and lays everything into it.
# The rest of the arguments: script STAGE KIND NAME SHA256 ENTRY TIMEOUT CODES, and env NAME VALUE.
cmd_install() {
  local token=$1 staging=$W
  [ -r /proc/uptime ] && [ -r /proc/mounts ] || refuse guest-workspace-failed '/proc/uptime or /proc/mounts cannot be read'
  choose_base "$2" || refuse guest-no-memory-place "$why"
  shift 2
  target="\${base%/}/coldframe-$token"
  why=$(mkdir -m 700 "$target" 2>&1) || refuse guest-workspace-failed "Directory \\"$target\\" cannot be made: $why"
  cd "$target" && W=$target
  mkdir f r b s t env in && cat "$0" > wrapper.sh || undo guest-workspace-failed "There is no room in \\"$base\\""
  while [ $# -gt 0 ]; do
    case $1 in
      env)
        printf '%s' "$3" > "env/$2" || undo guest-workspace-failed "There is no room in \\"$base\\""
        shift 3
        ;;
      script)
        take_script "$staging/bundle-$2" "$2" "$3" "$4" "$5" "$6"
        put "s/$2.timeout" "$7" && put "s/$2.codes" "$8" || undo guest-workspace-failed "There is no room in \\"$base\\""
        shift 8
        ;;
      *) undo guest-workspace-failed 'The arguments are not understood' ;;
    esac
  done
  rm -rf in
  begin
  printf 'path %s\\nend\\n' "$target"
}

undo() {
  cd / && rm -rf "$target"
  refuse "$1" "$2"
}

# Lays the bundle $1 of stage $2 into b/$2: of kind $3, named $4, with SHA-256 $5, entry $6. The copy in memory is what is
# hashed and unpacked: nobody else can change it.
take_script() {
  local copy="in/$2" entry=$6 bad
  mkdir "b/$2" && cat "$1" > "$copy" || undo guest-workspace-failed "There is no room for the script of $2 in \\"$base\\""
  sha256 "$copy" || undo guest-workspace-failed 'Neither sha256sum nor openssl nor shasum is installed'
  [ "$sum" = "$5" ] || undo guest-script-damaged "The script of $2 has SHA-256 $sum in the guest, and must have $5"
  case $3 in
    tgz) unpack_tar "$copy" "b/$2" || undo guest-script-unfit "The bundle of $2 cannot be unpacked: $why" ;;
    zip) unpack_zip "$copy" "b/$2" || undo guest-script-unfit "The bundle of $2 cannot be unpacked: $why" ;;
    *)
      entry=$4
      mv "$copy" "b/$2/$entry"
      ;;
  esac
  rm -f "$copy"
  bad=$(find "b/$2" ! -type f ! -type d 2>&1)
  [ -z "$bad" ] || undo guest-script-unfit "The bundle of $2 holds something that is neither a file nor a directory"
  [ -f "b/$2/$entry" ] || undo guest-script-unfit "The bundle of $2 holds no file \\"$entry\\""
  chmod -R u+rwX "b/$2" && chmod u+x "b/$2/$entry"
  put "s/$2.entry" "$entry"
}

# The SHA-256 of the file $1, into $sum.
sha256() {
  if command -v sha256sum > /dev/null; then sum=$(sha256sum < "$1")
  elif command -v openssl > /dev/null; then sum=$(openssl dgst -sha256 -r < "$1")
  elif command -v shasum > /dev/null; then sum=$(shasum -a 256 < "$1")
  else return 1; fi
  sum=\${sum%% *}
}

# Looks at every name before anything is written: whatever a tar does about names that lead elsewhere, and about links.
unpack_tar() {
  local list="in/list" line
  command -v tar > /dev/null || { why='tar is not installed'; return 1; }
  why=$(LC_ALL=C tar -tzf "$1" 2>&1 > "$list") || { why="tar: $(first_line "$why")"; return 1; }
  while IFS= read -r line; do
    case "/$line/" in //* | */../*) why="\\"$line\\" leads out of the bundle"; return 1 ;; esac
  done < "$list"
  LC_ALL=C tar -tvzf "$1" > "$list" 2>/dev/null || { why='tar cannot list it'; return 1; }
  while IFS= read -r line; do
    case $line in [-d]*) ;; *) why="\\"$line\\" is neither a file nor a directory"; return 1 ;; esac
  done < "$list"
  rm -f "$list"
  why=$(tar -xzof "$1" -C "$2" 2>&1) || { why="tar: $(first_line "$why")"; return 1; }
}

unpack_zip() {
  command -v unzip > /dev/null || { why='unzip is not installed; a .tgz needs none'; return 1; }
  unzip -l "$1" > in/list 2>/dev/null || { why='unzip cannot list it'; return 1; }
  while IFS= read -r line; do
    case "$line/" in *' /'* | *'../'*) why="\\"$line\\" leads out of the bundle"; return 1 ;; esac
  done < in/list
  why=$(unzip -qo "$1" -d "$2" 2>&1 < /dev/null) || { why="unzip: $(first_line "$why")"; return 1; }
}

first_line() {
  printf '%s\\n' "$1" | head -n 1
}

# The first place that is writable and kept in memory, into $base; 1 when there is none, with all reasons in $why.
choose_base() {
  local place reasons=''
  for place in "$1" /run /dev/shm; do
    [ -n "$place" ] || continue
    if judge "$place"; then
      base=$place
      return 0
    fi
    reasons="$reasons\${reasons:+; }\\"$place\\" $why"
  done
  why="No directory in memory can be used: $reasons"
  return 1
}

judge() {
  local real device point type rest best='' kind=''
  case $1 in /*) ;; *) why='is no absolute path'; return 1 ;; esac
  [ -d "$1" ] || { why='is no directory'; return 1; }
  [ -w "$1" ] && [ -x "$1" ] || { why='is not writable'; return 1; }
  real=$(cd -P "$1" && pwd -P) || { why='cannot be entered'; return 1; }
  while read -r device point type rest; do
    case $point in *\\\\*) point=$(printf '%b' "$point") ;; esac
    case "\${real%/}/" in "\${point%/}/"*) ;; *) continue ;; esac
    [ "\${#point}" -lt "\${#best}" ] || best=$point kind=$type
  done < /proc/mounts
  case $kind in tmpfs | ramfs) ;; *) why="is on \${kind:-an unknown file system}, not in memory"; return 1 ;; esac
  case "$real/" in /dev/shm/*) ;; *) return 0 ;; esac
  [ "$(id -u)" -ge 1000 ] && [ -d /run/systemd/system ] || return 0
  [ ! -e "/var/lib/systemd/linger/$(id -un)" ] || return 0
  logind RemoveIPC yes
  [ "$value" = yes ] || return 0
  why="is emptied by systemd-logind when the account's last login ends (RemoveIPC=yes)"
  return 1
}

# Thaws everything, ends whatever still runs of this workspace and removes it.
remove_workspace() {
  local file pid born session rest
  claim closed release
  for file in f/*; do
    [ "$file" = 'f/*' ] || thaw_one "\${file#f/}" release || refuse guest-thaw-failed "Freeze \${file#f/} cannot be thawed"
  done
  for file in f/*/timer f/*/*.run r/*/*.run; do
    [ -f "$file" ] && read -r pid born session rest < "$file" || continue
    # What a script left behind on purpose, having ended by itself, goes on: post-thaw may have started a database.
    case $file in */timer) session=0 ;; *) [ ! -e "\${file%.run}.exit" ] || continue ;; esac
    [ "$pid" = 0 ] || end_tree "$pid" "$born" "$session"
  done
  cd /
  why=$(rm -rf "$W" 2>&1)
  [ -e "$W" ] || return 0
  refuse guest-workspace-failed "Directory \\"$W\\" cannot be removed: $(first_line "$why")"
}

cmd_remove() {
  remove_workspace
  begin
  printf 'removed 1\\nend\\n'
}

# Removes whatever an installation with the token $1 may have left: its workspace, wherever it could lie ($2 is the
# operator's own choice), and the directories beside this one through which it was brought.
cmd_remove_token() {
  local staging=$W place count=0
  for place in "$2" /run /dev/shm; do
    [ -n "$place" ] && [ -d "$place/coldframe-$1" ] && cd "$place/coldframe-$1" || continue
    W=$(pwd)
    remove_workspace
    count=$((count + 1))
  done
  for place in "\${staging%/*}"/*/"coldframe-$1.sh"; do
    place=\${place%/*}
    [ -f "$place/coldframe-$1.sh" ] && [ "$place" != "$staging" ] || continue
    rm -rf "$place"
    count=$((count + 1))
  done
  begin
  printf 'removed %s\\nend\\n' "$count"
}

case \${1:-} in
  ask) cmd_ask ;;
  install) shift && cmd_install "$@" ;;
  now) cmd_now ;;
  freeze) cmd_freeze "$2" "$3" "$4" ;;
  thaw) cmd_thaw "$2" "$3" "$4" ;;
  run) cmd_run "$2" ;;
  stderr) cmd_stderr "$2" "$3" ;;
  remove) cmd_remove ;;
  remove-token) cmd_remove_token "$2" "$3" ;;
  timer) cmd_timer "$2" "$3" ;;
  script) cmd_script "$2" "$3" "$4" "$5" "$6" ;;
  *) refuse guest-wrapper-refused 'There is no such command' ;;
esac
exit 0
`
