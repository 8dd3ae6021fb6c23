# Layer 4: phases.
#
# A phase `build` is: unless dontBuild is set (and doBuild is not), preBuild, buildPhase, postBuild.
# Each of the three is a variable that holds commands, a variable that holds the name of a file of
# commands, or a function, in this order; a setup hook may add functions to the lists preBuildHooks and postBuildHooks.

isTrue() { case $1 in ''|0|false|no) return 1 ;; *) return 0 ;; esac; }

# isDefined NAME: whether a hook of this name is there to be run.
isDefined() { [ -n "${!1}" ] || declare -F "$1" > /dev/null; }

# runHook NAME: the hook, where there is one, then the functions that setup hooks added to it.
runHook() {
    local name=$1 function
    if [ -n "${!name}" ]; then
        if [ -f "${!name}" ]; then source "${!name}"; else eval "${!name}"; fi
    elif declare -F "$name" > /dev/null; then
        "$name"
    fi
    local -n added=${name}Hooks
    for function in "${added[@]}"; do "$function"; done
}

# runPhase PHASE: `build` and `buildPhase` both name the phase build.
runPhase() {
    local phase=${1%Phase} started=$SECONDS
    local dont=dont${phase^} do=do${phase^}
    if isTrue "${!dont}" && ! isTrue "${!do}"; then return 0; fi
    isDefined "${phase}Phase" || { echo "the phase $phase is listed but not defined: there is no ${phase}Phase" >&2; return 1; }
    echo "phase: $phase"
    runHook "pre${phase^}"
    runHook "${phase}Phase"
    runHook "post${phase^}"
    if (( SECONDS - started >= 10 )); then echo "phase $phase took $(( SECONDS - started )) s"; fi
}

# One of two hooks runs at the end; the status of the build stays what it was.
atExit() {
    local status=$?
    set +e
    if [ $status = 0 ]; then runHook exitHook; else runHook failureHook; fi
    exit $status
}

# genericBuild: the command if there is one, else the phases.
genericBuild() {
    trap atExit EXIT
    prepareInputs
    if [ -n "$buildCommandPath" ]; then
        source "$buildCommandPath"
    elif [ -n "$buildCommand" ]; then
        eval "$buildCommand"
    else
        local phase
        for phase in $prePhases ${phases:-$defaultPhases} $postPhases; do runPhase "$phase"; done
    fi
    recordInputs
}
