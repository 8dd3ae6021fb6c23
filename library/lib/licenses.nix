# Licences by their SPDX identifiers: { spdxId, fullName, free }.
let
  licence = spdxId: fullName: { inherit spdxId fullName; free = true; };
in
{
  asl20 = licence "Apache-2.0" "Apache License 2.0";
  bsd3 = licence "BSD-3-Clause" "BSD 3-clause \"New\" or \"Revised\" License";
  gpl2Only = licence "GPL-2.0-only" "GNU General Public License v2.0 only";
  gpl2Plus = licence "GPL-2.0-or-later" "GNU General Public License v2.0 or later";
  gpl3Plus = licence "GPL-3.0-or-later" "GNU General Public License v3.0 or later";
  lgpl21Plus = licence "LGPL-2.1-or-later" "GNU Lesser General Public License v2.1 or later";
  mit = licence "MIT" "MIT License";
  zlib = licence "Zlib" "zlib License";
}
