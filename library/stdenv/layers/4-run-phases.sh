# Layer 4: phases.
#
# A phase `build` is: unless dontBuild is set (and doBuild is not), preBuild, buildPhase, postBuild.
# Each of the three is a variable that holds commands, a variable that holds the name of a file of
# commands, or a function, in this order; a setup hook may add functions to the lists preBuildHooks and postBuildHooks.

isTrue() { case $1 in ''|0|false|no) return 1 ;; *) return 0 ;; esac; }

# isDefined NAME: whether a hook of this name is there to be run.
isDefined() { [ -n "${!1}" ] || declare -F "$1" > /dev/null; }

# Hooks are run inside these functions and see their variables; hence names that no package uses.

# runHook NAME: the hook, where there is one, then the functions that setup hooks added to it.
runHook() {
    local hookName=$1 hookFunction
    if [ -n "${!hookName}" ]; then
        if [ -f "${!hookName}" ]; then source "${!hookName}"; else eval "${!hookName}"; fi
    elif declare -F "$hookName" > /dev/null; then
        "$hookName"
    fi
    local -n hookAdded=${hookName}Hooks
    for hookFunction in "${hookAdded[@]}"; do "$hookFunction"; done
}

# runPhase PHASE: `build` and `buildPhase` both name the phase build.
runPhase() {
    local currentPhase=${1%Phase} phaseStarted=$SECONDS
    local phaseDont=dont${currentPhase^} phaseDo=do${currentPhase^}
    if isTrue "${!phaseDont}" && ! isTrue "${!phaseDo}"; then return 0; fi
    isDefined "${currentPhase}Phase" || {
        echo "the phase $currentPhase is listed but not defined: there is no ${currentPhase}Phase" >&2
        return 1
    }
    echo "phase: $currentPhase"
    runHook "pre${currentPhase^}"
    runHook "${currentPhase}Phase"
    runHook "post${currentPhase^}"
    if (( SECONDS - phaseStarted >= 10 )); then
        echo "phase $currentPhase took $(( SECONDS - phaseStarted )) s"
    fi
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
        local nextPhase
        for nextPhase in $prePhases ${phases:-$defaultPhases} $postPhases; do runPhase "$nextPhase"; done
    fi
    recordInputs
}
