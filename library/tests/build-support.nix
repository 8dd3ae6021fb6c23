# The small builders.
{ packages, support }:
let
  inherit (packages) lib stdenvNoCC writeText writeTextFile writeTextDir writeScript writeScriptBin writeShellScript
    writeShellScriptBin runCommand symlinkJoin linkFarm;
  inherit (support) failing;

  left = runCommand "left" { } "mkdir -p $out/bin $out/share; echo left > $out/bin/program; echo left > $out/share/left";
  right = runCommand "right" { } "mkdir -p $out/bin $out/share; echo right > $out/bin/program; echo right > $out/share/right";
in
{
  write-text = runCommand "write-text"
    {
      file = writeText "file" "with 'quotes' and $dollars\nno newline at the end";
      tree = writeTextDir "share/doc/file" "text";
      script = writeScript "script" "#!${stdenvNoCC.shell}\necho $0 | grep -o 'script$'\n";
      shellScript = writeShellScript "shell-script" "echo \"$@\"";
      shellProgram = lib.getExe (writeShellScriptBin "shell-program" "echo program");
      program = lib.getExe (writeScriptBin "program" "#!${stdenvNoCC.shell}\necho plain");
    } ''
    printf '%s' "with 'quotes' and \$dollars
    no newline at the end" | cmp - $file
    [ ! -x $file ]
    [ "$(cat $tree/share/doc/file)" = text ]
    [ "$($script)" = script ]
    [ "$($shellScript a b)" = "a b" ]
    [ "$($shellProgram)" = program ]
    [ "$($program)" = plain ]
    touch $out
  '';
  syntax-error = failing (writeShellScript "broken" "if true") "grep -q 'syntax error' $log";
  check-phase = failing (writeTextFile { name = "checked"; text = "x"; checkPhase = "grep y $target"; }) "true";

  symlink-join = runCommand "symlink-join"
    { joined = symlinkJoin { name = "joined"; paths = [ left right ]; postBuild = "echo more > $out/share/more"; }; } ''
    [ "$(cat $joined/bin/program)" = left ]
    [ "$(readlink $joined/bin/program)" = ${left}/bin/program ]
    [ "$(echo $(cat $joined/share/*))" = "left more right" ]
    touch $out
  '';
  symlink-join-missing = failing (symlinkJoin { name = "joined"; paths = [ "/nonexistent" ]; }) "grep -q 'there is no directory /nonexistent' $log";
  link-farm = runCommand "link-farm"
    { farm = linkFarm "farm" [ { name = "a/left"; path = left; } { name = "right"; path = right; } ]; } ''
    [ "$(readlink $farm/a/left)" = ${left} ]
    [ "$(readlink $farm/right)" = ${right} ]
    touch $out
  '';
}
