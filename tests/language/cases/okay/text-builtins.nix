# stringLength, substring, concatStringsSep, replaceStrings and relatives.
with builtins;
[
  (stringLength "aé")
  (substring 1 2 "abcd")
  (substring 1 (-1) "abcd")
  (substring 9 1 "abcd")
  (substring 0 0 "abcd")
  (concatStringsSep ", " [ "a" "b" "c" ])
  (concatStringsSep "," [ ])
  (replaceStrings [ "a" "b" ] [ "b" "a" ] "aabb")
  (replaceStrings [ "" ] [ "-" ] "ab")
  (replaceStrings [ "ab" "a" ] [ "1" "2" ] "aab")
  (replaceStrings [ "x" ] [ (throw "not needed") ] "ab")
  (replaceStrings [ ] [ ] "ab")
  (replaceStrings [ "" "a" ] [ "-" "+" ] "aa")
  (toString [ 1 [ ] "a" [ [ ] ] 2 null true false ])
  (map toString [ null true false 1.5 "s" /a/b { outPath = "o"; } ])
  (baseNameOf "/a/b/")
  (baseNameOf "b//")
  (dirOf "/a/b")
  (dirOf "a")
  (toString (dirOf /a/b))
]
