#!/bin/sh
# Tells Coldframe of an alarm: as the script of a vCenter alarm, or as a trap handler of snmptrapd. Needs openssl and curl; uses jq
# where it is installed.
#
#   coldframe-alarm.sh vcenter URL KEYFILE [VCENTER_ID]     what the alarm is about comes from vCenter in VMWARE_ALARM_* variables
#   coldframe-alarm.sh snmp    URL KEYFILE [VCENTER_ID]     the trap comes from snmptrapd on standard input
#
# URL is that of the HTTP API ("https://….amazonaws.com"), KEYFILE holds one of the keys in the door's secret, VCENTER_ID is the
# instance UUID of the vCenter ("govc about -json"), which saves Coldframe from guessing whose "vm-101" it is.
# The request is signed: HMAC-SHA-256 of "<seconds>.<body>". Sent again, it is the same alarm.
set -u
LC_ALL=C
export LC_ALL

fail() {
  echo "coldframe-alarm: $1" >&2
  command -v logger >/dev/null 2>&1 && logger -t coldframe-alarm -- "$1"
  exit 1
}

# Text of one line, of at most 4,000 bytes and of whole characters.
plain() {
  printf '%s' "$1" | head -c 4000 | tr '\000-\037\177' ' ' | if command -v iconv >/dev/null 2>&1; then
    iconv -c -f UTF-8 -t UTF-8
  else
    cat
  fi
}

# "name" "value" … as a JSON object of texts.
json() {
  if command -v jq >/dev/null 2>&1; then
    jq -nc '[$ARGS.positional | _nwise(2) | {key: .[0], value: .[1]}] | from_entries' --args "$@" 2>/dev/null && return
  fi
  separator='{'
  while [ $# -gt 1 ]; do
    printf '%s"%s":"%s"' "$separator" "$1" "$(printf '%s' "$2" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')"
    separator=','
    shift 2
  done
  printf '}'
}

# HMAC-SHA-256 (RFC 2104) of standard input, in hex. The key is in no command line, which everybody on the machine can read.
hmac() {
  if [ ${#1} -gt 64 ]; then
    bytes=$(printf '%s' "$1" | openssl dgst -sha256 -binary | od -An -v -tx1)
  else
    bytes=$(printf '%s' "$1" | od -An -v -tx1)
  fi
  inner='' outer='' count=0
  for byte in $bytes; do
    inner="$inner\\0$(printf '%03o' $((0x$byte ^ 0x36)))"
    outer="$outer\\0$(printf '%03o' $((0x$byte ^ 0x5c)))"
    count=$((count + 1))
  done
  while [ $count -lt 64 ]; do
    inner="$inner\\0066" outer="$outer\\0134" count=$((count + 1))
  done
  { printf '%b' "$inner"; cat; } | openssl dgst -sha256 -binary | { printf '%b' "$outer"; cat; } |
    openssl dgst -sha256 -r | cut -d' ' -f1
}

# The values of a trap, one a line: old status, new status, message, name and kind of the object. Lines of snmptrapd are "OID value",
# the OID in any of its forms; a text is quoted, or in hex where it is not ASCII.
trap_values() {
  awk '
    function digit(c) { return index("0123456789ABCDEF", c) - 1 }
    function unquoted(text,   out, i, hex) {
      if (substr(text, 1, 1) != "\"") return text
      text = substr(text, 2, length(text) - 2)
      hex = text
      gsub(/\n/, "", hex)
      if (hex ~ /^([0-9A-F][0-9A-F] )+$/) {
        text = hex
        out = ""
        for (i = 1; i < length(text); i += 3)
          out = out sprintf("%c", digit(substr(text, i, 1)) * 16 + digit(substr(text, i + 1, 1)))
        return out
      }
      gsub(/\\"/, "\"", text)
      gsub(/\\\\/, "\\", text)
      return text
    }
    NR <= 2 { next }
    /^[.A-Za-z0-9:-]+[.][0-9]+ / { name = $1; value[name] = substr($0, length($1) + 2); order[++count] = name; next }
    { if (count > 0) value[name] = value[name] "\n" $0 }
    END {
      wanted["304|vmwVpxdOldStatus"] = 1; wanted["305|vmwVpxdNewStatus"] = 2; wanted["306|vmwVpxdObjValue"] = 3
      wanted["307|vmwVpxdTargetObj"] = 4; wanted["308|vmwVpxdTargetObjType"] = 5
      for (key in wanted) {
        split(key, part, "|")
        for (i = 1; i <= count; i++)
          if (order[i] ~ ("(^|[.])6876[.]4[.]3[.]" part[1] "([.]0)?$") || order[i] ~ ("(^|:)" part[2] "[.]0$"))
            found[wanted[key]] = unquoted(value[order[i]])
      }
      for (i = 1; i <= 5; i++) { gsub(/[\n\r]/, " ", found[i]); print found[i] }
    }'
}

[ $# -ge 3 ] || fail "usage: coldframe-alarm.sh vcenter|snmp URL KEYFILE [VCENTER_ID]"
mode=$1 url=$2 keyfile=$3 vcenter=${4:-}
[ -r "$keyfile" ] || fail "cannot read the key in \"$keyfile\""
key=$(cat "$keyfile")
[ -n "$key" ] || fail "\"$keyfile\" is empty"
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)

case $mode in
vcenter)
  door=vcenter-script
  body=$(json source vcenter-script alarmName "$(plain "${VMWARE_ALARM_NAME:-}")" \
    targetId "$(plain "${VMWARE_ALARM_TARGET_ID:-}")" targetName "$(plain "${VMWARE_ALARM_TARGET_NAME:-}")" \
    from "$(plain "${VMWARE_ALARM_OLDSTATUS:-}")" to "$(plain "${VMWARE_ALARM_NEWSTATUS:-}")" \
    summary "$(plain "${VMWARE_ALARM_TRIGGERINGSUMMARY:-${VMWARE_ALARM_EVENTDESCRIPTION:-}}")" \
    vcenterId "$(plain "$vcenter")" occurredAt "$now")
  ;;
snmp)
  door=snmp
  values=$(trap_values) || fail 'cannot read the trap'
  value() { printf '%s\n' "$values" | sed -n "$1p"; }
  # Other traps of vCenter are none of alarms.
  [ -n "$(value 3)" ] || exit 0
  kind=$(value 5)
  case $kind in *vm* | *VM*) kind=3 ;; *host*) kind=2 ;; esac
  body=$(json source snmp oldStatus "$(plain "$(value 1)")" newStatus "$(plain "$(value 2)")" \
    message "$(plain "$(value 3)")" objectName "$(plain "$(value 4)")" objectType "$(plain "$kind")" \
    vcenterId "$(plain "$vcenter")" occurredAt "$now")
  ;;
*) fail "\"$mode\" is neither \"vcenter\" nor \"snmp\"" ;;
esac

seconds=$(date +%s)
signature=$(printf '%s.%s' "$seconds" "$body" | hmac "$key")
answer=$(printf '%s' "$body" | curl -sS --max-time 10 --retry 4 --retry-delay 5 --retry-max-time 120 \
  -H "X-Coldframe-Timestamp: $seconds" -H "X-Coldframe-Signature: v1=$signature" -H 'Content-Type: application/json' \
  -o /dev/null -w '%{http_code}' --data-binary @- "${url%/}/alarms/$door") || fail "cannot reach \"$url\""
case $answer in
2*) exit 0 ;;
*) fail "\"$url\" answered $answer to an alarm about \"$(printf '%s' "$body" | cut -c1-300)\"" ;;
esac
