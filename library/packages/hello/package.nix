{ lib, stdenv, fetchurl }:
stdenv.mkDerivation (final: {
  pname = "hello";
  version = "2.10";

  # Debian's file is upstream's, byte by byte.
  src = fetchurl {
    name = "hello-${final.version}.tar.gz";
    urls = [
      "mirror://debian/pool/main/h/hello/hello_${final.version}.orig.tar.gz"
      "mirror://gnu/hello/hello-${final.version}.tar.gz"
    ];
    sha256 = "0ssi1wpaf7plaswqqjwigppsg5fyh99vdlb9kzl7c9lng89ndq1i";
  };

  meta = {
    description = "A program that produces a familiar, friendly greeting";
    homepage = "https://www.gnu.org/software/hello/";
    license = lib.licenses.gpl3Plus;
    mainProgram = "hello";
    platforms = [ "x86_64-linux" ];
  };
})
