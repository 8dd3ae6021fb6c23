# Layer 6: configure, build, check, install.

hasOutput() { case " $outputs " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# readFlags TEXT: words of a shell, so that PREFIX=$out and quotes do what they say; into the array flags.
readFlags() { eval "flags+=($1)"; }

# configurePhase: the script is run by a small shell, not by what its first line says: the sandbox
# need not have /bin/sh, and most of a configure script's time is the shell's.
configurePhase() {
    local script=${configureScript:-./configure} flags=() line
    if [ ! -e "$script" ]; then
        [ -z "$configureScript" ] || { echo "there is no $configureScript" >&2; return 1; }
        echo "there is no configure script"
        return 0
    fi
    isTrue "$dontAddPrefix" || flags+=(--prefix="$out")
    if hasOutput bin; then flags+=(--bindir="$bin/bin" --sbindir="$bin/sbin"); fi
    if hasOutput lib; then flags+=(--libdir="$lib/lib"); fi
    if hasOutput dev; then flags+=(--includedir="$dev/include"); fi
    if hasOutput man; then flags+=(--mandir="$man/share/man"); fi
    if hasOutput info; then flags+=(--infodir="$info/share/info"); fi
    if ! isTrue "$dontDisableStatic" && grep -q enable-static "$script"; then flags+=(--disable-static); fi
    readFlags "$configureFlags"
    flags+=("${configureFlagsArray[@]}")
    echo "configure flags: ${flags[*]}"
    export CONFIG_SHELL="${CONFIG_SHELL:-$configureShell}"
    IFS= read -r line < "$script" || true
    case $line in
        '#!'*/sh|'#!'*'/sh '*) "$CONFIG_SHELL" "$script" "${flags[@]}" ;;
        *) "$script" "${flags[@]}" ;;
    esac
}

# takePartInJobServer: a make before 4.4 knows a job server by two descriptors, not by the name of its pipe.
takePartInJobServer() {
    local pipe
    case $MAKEFLAGS in
        *--jobserver-auth=fifo:*)
            pipe=${MAKEFLAGS##*--jobserver-auth=fifo:}
            pipe=${pipe%% *}
            exec {jobServerPipe}<>"$pipe"
            MAKEFLAGS=${MAKEFLAGS/"fifo:$pipe"/$jobServerPipe,$jobServerPipe}
            ;;
    esac
}
takePartInJobServer

# runMake WORD...: make with the package's flags and these. A makefile there must be. How many jobs it runs at a time is
# its own choice unless builds share them.
runMake() {
    local flags=()
    case $MAKEFLAGS in
        *--jobserver-auth=*) isTrue "$enableParallelBuilding" || flags+=(-j1) ;;
        *) isTrue "$enableParallelBuilding" && flags+=(-j"$NIX_BUILD_CORES") ;;
    esac
    if [ -z "$makefile" ] && [ ! -e Makefile ] && [ ! -e makefile ] && [ ! -e GNUmakefile ]; then
        echo "there is no makefile" >&2
        return 1
    fi
    readFlags "$makeFlags $*"
    make ${makefile:+-f "$makefile"} SHELL="$SHELL" "${flags[@]}" "${makeFlagsArray[@]}"
}
buildPhase() { runMake $buildFlags; }
checkPhase() { runMake $checkFlags ${checkTarget:-check}; }
installPhase() { runMake $installFlags ${installTargets:-install}; }

defaultPhases="$phasesBefore configure build check install $phasesAfter"
# Checks are the package's choice: doCheck.
: "${dontCheck=1}"
