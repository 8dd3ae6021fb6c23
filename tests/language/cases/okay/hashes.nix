with builtins;
[
  (hashString "md5" "abc")
  (hashString "sha1" "abc")
  (hashString "sha256" "abc")
  (hashString "sha512" "abc")
  (hashFile "sha256" ./files/text.txt)
  (convertHash { hash = hashString "sha256" "abc"; hashAlgo = "sha256"; toHashFormat = "nix32"; })
  (convertHash { hash = hashString "sha256" "abc"; hashAlgo = "sha256"; toHashFormat = "sri"; })
  (convertHash { hash = "sha256:" + hashString "sha256" "abc"; toHashFormat = "base64"; })
  (convertHash { hash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; toHashFormat = "base16"; })
  (placeholder "out")
]
