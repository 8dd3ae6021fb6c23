# What several test files use.
{ packages }:
let
  inherit (packages) lib stdenvNoCC;

  # A value as a builder sees it; a path is copied to the store.
  inEnvironment = value:
    if builtins.isList value then builtins.concatStringsSep " " (map inEnvironment value)
    else if builtins.isPath value then "${value}"
    else toString value;
in
rec {
  # A setup hook for tests. The shell's own `!` ends no script, whatever comes out.
  #   not COMMAND...   fails, saying so, when the command succeeds
  assertions = builtins.toFile "assertions" ''
    not() {
        if "$@"; then echo "this should have failed: $*" >&2; return 1; fi
    }
  '';

  # failing package checks: passes when the builder of `package` fails and the commands `checks` succeed
  # after it; $log is a file of what it said, $status its exit status. The builder runs in here with
  # the environment that Nix would give it.
  failing = package: checks:
    let
      environment = lib.mapAttrsToList (name: value: "${name}=${inEnvironment value}")
        (builtins.removeAttrs package.drvAttrs ([ "args" "builder" "outputs" "passAsFile" ] ++ asFile));
      asFile = package.drvAttrs.passAsFile or [ ];
      files = map (name: ''${name}Path="$PWD/${name}.passed"'') asFile;
      writeFiles = map (name: "printf %s ${lib.escapeShellArg package.drvAttrs.${name}} > ${name}.passed\n") asFile;
    in
    stdenvNoCC.runCommand {
      name = "failing-${package.name}";
      buildInputs = [ assertions ];
      buildCommand = ''
        log=$NIX_BUILD_TOP/log status=0
        mkdir inner
        cd inner
        ${toString writeFiles}
        env -i ${toString files} ${lib.escapeShellArgs environment} out="$PWD/out" NIX_BUILD_TOP="$PWD" NIX_BUILD_CORES=1 NIX_STORE="$NIX_STORE" \
            ${package.builder} ${lib.escapeShellArgs package.args} > $log 2>&1 || status=$?
        cat $log
        [ $status != 0 ] || { echo "it succeeded" >&2; exit 1; }
        ${checks}
        touch $out
      '';
    };

  # The file `name` with `text`, as a source that needs nothing to be built.
  file = name: text: builtins.toFile name text;
}
