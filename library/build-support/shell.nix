# runCommandCC name { buildInputs = [ ... ]; } commands: what `nix-shell -p` asks for by that name: as
# runCommand, but in a shell its inputs are on the search path from the start.
{ stdenv }:
{
  runCommandCC = name: environment: commands:
    stdenv.runCommand ({ inherit name; buildCommand = commands; } // environment // {
      stdenv = ./shell;
      shellStdenv = (stdenv.runCommand { inherit name; buildCommand = ""; }).stdenv;
    });
}
