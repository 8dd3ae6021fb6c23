# Layer 3: inputs, setup hooks, one command.
#
# A setup hook (PACKAGE/nix-support/setup-hook, or an input that is a file) may define functions, set
# variables, and name functions that are to see every input: addEnvHook FUNCTION.

envHooks=()                       # functions, called with each input in turn
inputs=()                         # every input once, those that were named first first
declare -A inputSeen=()

addEnvHook() {                    # FUNCTION
    local known
    for known in "${envHooks[@]}"; do [ "$known" != "$1" ] || return 0; done
    envHooks+=("$1")
}

# addToSearchPath VARIABLE DIRECTORY: a directory that exists goes to the end of a list, once.
addToSearchPath() { addToSearchPathWithDelimiter : "$@"; }
addToSearchPathWithDelimiter() {  # DELIMITER VARIABLE DIRECTORY
    [ -d "$3" ] || return 0
    local old=${!2}
    case $1$old$1 in *"$1$3$1"*) return 0 ;; esac
    export "$2=${old:+$old$1}$3"
}

# takeInput INPUT: it, and what it propagates after it. Its setup hook runs now, inside this function;
# hence names that no hook uses.
takeInput() {
    local takenInput=$1 inputPropagated
    [ -z "${inputSeen[$takenInput]}" ] || return 0
    inputSeen[$takenInput]=1
    [ -e "$takenInput" ] || { echo "the input $takenInput does not exist" >&2; return 1; }
    if [ -f "$takenInput" ]; then
        source "$takenInput"
        return 0
    fi
    inputs+=("$takenInput")
    if [ -e "$takenInput/nix-support/setup-hook" ]; then source "$takenInput/nix-support/setup-hook"; fi
    if [ -e "$takenInput/nix-support/propagated-build-inputs" ]; then
        for inputPropagated in $(< "$takenInput/nix-support/propagated-build-inputs"); do
            takeInput "$inputPropagated"
        done
    fi
}

# prepareInputs: all inputs, then the hooks that want to see them. Inputs come on PATH before the
# tools of the environment, the package's own before those of its layer.
prepareInputs() {
    local input hook inputPath=
    for input in $nativeBuildInputs $buildInputs $propagatedBuildInputs $layerPackages; do takeInput "$input"; done
    for input in "${inputs[@]}"; do
        addToSearchPath inputPath "$input/bin"
        for hook in "${envHooks[@]}"; do "$hook" "$input"; done
    done
    export -n inputPath
    export PATH="${inputPath:+$inputPath:}$PATH"
}

# recordInputs: what users of this package get with it, in its output for developers.
recordInputs() {
    local output=${outputs:-out}
    output=${output%% *}
    case " $outputs " in *" dev "*) output=dev ;; esac
    output=${!output}
    [ -n "$propagatedBuildInputs$setupHook" ] || return 0
    mkdir -p "$output/nix-support"
    if [ -n "$propagatedBuildInputs" ]; then
        printf '%s\n' $propagatedBuildInputs > "$output/nix-support/propagated-build-inputs"
    fi
    if [ -n "$setupHook" ]; then cp "$setupHook" "$output/nix-support/setup-hook"; fi
}

runCommand() {
    prepareInputs
    if [ -n "$buildCommandPath" ]; then source "$buildCommandPath"; else eval "$buildCommand"; fi
    recordInputs
}
