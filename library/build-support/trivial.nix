# Small builders. They stand on layer 3 without a compiler: a new compiler changes none of their
# results.
{ lib, stdenv }:
let
  shellScript = text: "#!${stdenv.shell}\n${text}\n";
  checkShellSyntax = ''"$SHELL" -n "$target"'';
in
rec {
  # writeTextFile { name, text, ... }: a file, or a tree with one file in it.
  writeTextFile =
    { name
    , text
      # The file may be run.
    , executable ? false
      # The place of the file below the output: /bin/name. Empty: the output is the file.
    , destination ? ""
      # Commands that must succeed; $target is the file.
    , checkPhase ? ""
    , meta ? { }
    }:
    stdenv.runCommand {
      inherit name text executable destination checkPhase meta;
      passAsFile = [ "text" ];
      # Not worth a download or another machine.
      preferLocalBuild = true;
      allowSubstitutes = false;
      buildCommand = ''
        target=$out$destination
        mkdir -p "''${target%/*}"
        cp "$textPath" "$target"
        [ -z "$executable" ] || chmod +x "$target"
        eval "$checkPhase"
      '';
    };

  # writeText name text: a file.
  writeText = name: text: writeTextFile { inherit name text; };

  # writeTextDir "share/doc/x" text: a tree with one file in it.
  writeTextDir = path: text: writeTextFile {
    inherit text;
    name = lib.storeName (baseNameOf path);
    destination = "/${path}";
  };

  # writeScript name text: a file that may be run; its first line says by what.
  writeScript = name: text: writeTextFile { inherit name text; executable = true; };

  # writeScriptBin name text: the same as bin/name of a tree.
  writeScriptBin = name: text: writeTextFile {
    inherit name text;
    executable = true;
    destination = "/bin/${name}";
    meta.mainProgram = name;
  };

  # writeShellScript name text: a script of our bash, whose syntax is checked.
  writeShellScript = name: text: writeTextFile {
    inherit name;
    executable = true;
    text = shellScript text;
    checkPhase = checkShellSyntax;
  };

  # writeShellScriptBin name text: the same as bin/name of a tree.
  writeShellScriptBin = name: text: writeTextFile {
    inherit name;
    executable = true;
    destination = "/bin/${name}";
    text = shellScript text;
    checkPhase = checkShellSyntax;
    meta.mainProgram = name;
  };

  # runCommand name { ENV = ...; } commands: what the commands leave in $out.
  runCommand = name: environment: commands:
    stdenv.runCommand ({ inherit name; buildCommand = commands; } // environment);

  # symlinkJoin { name, paths, postBuild }: one tree of links to the files of several; where two have
  # a file of the same place, the first one wins.
  symlinkJoin = { name, paths, postBuild ? "", meta ? { } }:
    stdenv.runCommand {
      inherit name paths postBuild meta;
      preferLocalBuild = true;
      allowSubstitutes = false;
      buildCommand = ''
        mkdir -p "$out"
        shopt -s dotglob
        for path in $paths; do
            [ -d "$path" ] || { echo "symlinkJoin: there is no directory $path" >&2; exit 1; }
            for entry in "$path"/*; do
                # -n: a file that an earlier tree brought stays.
                cp -rsn --no-preserve=mode "$entry" "$out/"
            done
            chmod -R u+w "$out"
        done
        eval "$postBuild"
      '';
    };

  # linkFarm name [ { name = "place/in/tree"; path = ...; } ... ]: a tree of links.
  linkFarm = name: entries:
    stdenv.runCommand {
      inherit name;
      places = map (entry: entry.name) entries;
      targets = map (entry: "${entry.path}") entries;
      preferLocalBuild = true;
      allowSubstitutes = false;
      buildCommand = ''
        mkdir -p "$out"
        targets=($targets)
        for place in $places; do
            mkdir -p "$(dirname "$out/$place")"
            ln -s "''${targets[0]}" "$out/$place"
            targets=("''${targets[@]:1}")
        done
      '';
    };
}
