# What is known about a package beside how it is built.
{
  # getExe package: the path of its main program, which `meta.mainProgram` must name.
  getExe = package:
    let
      name = package.meta.mainProgram
        or (throw "getExe: package ${package.name} does not say which program is its main one (meta.mainProgram)");
    in
    "${package.bin or package.out or package}/bin/${name}";

  # getOutput output package: one output of a package, the first one where it has none of that name.
  getOutput = output: package: package.${output} or package.out or package;
}
