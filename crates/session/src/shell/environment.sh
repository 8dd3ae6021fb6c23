# Sets up a build as the standard environment does, and writes what is set then, as JSON, to the first output. The others
# become empty files.

set -e
if [[ -e $NIX_ATTRS_SH_FILE ]]; then source "$NIX_ATTRS_SH_FILE"; fi
export IN_NIX_SHELL=impure
export dontAddDisableDepTrack=1
if [[ -n $stdenv ]]; then source "$stdenv/setup"; fi

# Before anything of this script's own is set.
_dev_variables=$(declare -p)
_dev_functions=$(declare -F)
set +eu

_dev_string() {
    local text=$1 code letter
    text="${text//\\/\\\\}"
    text="${text//\"/\\\"}"
    text="${text//$'\n'/\\n}"
    text="${text//$'\r'/\\r}"
    text="${text//$'\t'/\\t}"
    for code in 1 2 3 4 5 6 7 8 b c e f 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f; do
        printf -v letter "\\x$code"
        if [[ $text == *"$letter"* ]]; then
            if [[ ${#code} == 1 ]]; then code=0$code; fi
            text="${text//"$letter"/\\u00$code}"
        fi
    done
    printf '"%s"' "$text"
}

_dev_array() {
    local -n _dev_values=$1
    local value comma=
    printf '['
    for value in "${_dev_values[@]}"; do
        printf '%s' "$comma"
        _dev_string "$value"
        comma=', '
    done
    printf ']'
}

_dev_table() {
    local -n _dev_values=$1
    local key comma=
    printf '{'
    for key in "${!_dev_values[@]}"; do
        printf '%s' "$comma"
        _dev_string "$key"
        printf ': '
        _dev_string "${_dev_values[$key]}"
        comma=', '
    done
    printf '}'
}

_dev_is_ours() {
    case $1 in
        # Of bash itself, or of this process alone.
        BASH_* | COMP_* | _ | DIRSTACK | EUID | FUNCNAME | HISTCMD | HOSTNAME | GROUPS | PIPESTATUS | PWD | RANDOM | SHLVL) return 0 ;;
        SECONDS | EPOCHREALTIME | EPOCHSECONDS | _dev_*) return 0 ;;
    esac
    return 1
}

_dev_dump() {
    local _dev_line _dev_name _dev_flags _dev_body _dev_comma=
    local -A _dev_seen=()
    printf '{\n  "bashFunctions": {'
    while read -r _dev_line; do
        if ! [[ $_dev_line =~ ^declare\ -f[a-z]*\ (.+)$ ]]; then continue; fi
        _dev_name=${BASH_REMATCH[1]}
        _dev_body=$(declare -f "$_dev_name")
        _dev_body=${_dev_body#*\{}
        printf '%s\n    ' "$_dev_comma"
        _dev_string "$_dev_name"
        printf ': '
        _dev_string "${_dev_body%\}*}"
        _dev_comma=,
    done <<< "$_dev_functions"
    printf '\n  },\n  "variables": {'
    _dev_comma=
    while read -r _dev_line; do
        if ! [[ $_dev_line =~ ^declare\ -([^ ]+)\ ([A-Za-z_][A-Za-z0-9_]*) ]]; then continue; fi
        _dev_flags=${BASH_REMATCH[1]}
        _dev_name=${BASH_REMATCH[2]}
        # A line may also be one of a long value.
        if _dev_is_ours "$_dev_name" || [[ -n ${_dev_seen[$_dev_name]} ]] || ! declare -p "$_dev_name" &> /dev/null; then
            continue
        fi
        # What cannot be set again, or is another variable's name.
        if [[ $_dev_flags == *[rn]* ]]; then continue; fi
        _dev_seen[$_dev_name]=1
        printf '%s\n    ' "$_dev_comma"
        _dev_comma=,
        _dev_string "$_dev_name"
        case $_dev_flags in
            *a*)
                printf ': {"type": "array", "value": '
                _dev_array "$_dev_name"
                ;;
            *A*)
                printf ': {"type": "associative", "value": '
                _dev_table "$_dev_name"
                ;;
            *x*)
                printf ': {"type": "exported", "value": '
                _dev_string "${!_dev_name}"
                ;;
            *)
                printf ': {"type": "var", "value": '
                _dev_string "${!_dev_name}"
                ;;
        esac
        printf '}'
    done <<< "$_dev_variables"
    printf '\n  }'
    if [[ -e $NIX_ATTRS_SH_FILE ]]; then
        printf ',\n  "structuredAttrs": {\n    ".attrs.json": '
        _dev_string "$(< "$NIX_ATTRS_JSON_FILE")"
        printf ',\n    ".attrs.sh": '
        _dev_string "$(< "$NIX_ATTRS_SH_FILE")"
        printf '\n  }'
    fi
    printf '\n}\n'
}

_dev_outputs=()
if [[ -e $NIX_ATTRS_SH_FILE ]]; then
    for _dev_output in "${outputs[@]}"; do _dev_outputs+=("$_dev_output"); done
else
    # Who names no outputs has one.
    for _dev_output in ${outputs:-out}; do _dev_outputs+=("${!_dev_output}"); done
fi
_dev_dump > "${_dev_outputs[0]}" || exit 1
for _dev_output in "${_dev_outputs[@]:1}"; do
    : > "$_dev_output" || exit 1
done
exit 0
