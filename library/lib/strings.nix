# Strings.
rec {
  # optionalString condition text: the text, or the empty string.
  optionalString = condition: text: if condition then text else "";

  # hasPrefix prefix text; hasSuffix suffix text: byte by byte.
  hasPrefix = prefix: text:
    builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  hasSuffix = suffix: text:
    let
      length = builtins.stringLength text;
      suffixLength = builtins.stringLength suffix;
    in
    length >= suffixLength && builtins.substring (length - suffixLength) suffixLength text == suffix;

  # removePrefix prefix text; removeSuffix suffix text: the text as it is when it has none.
  removePrefix = prefix: text:
    if hasPrefix prefix text
    then builtins.substring (builtins.stringLength prefix) (-1) text
    else text;
  removeSuffix = suffix: text:
    if hasSuffix suffix text
    then builtins.substring 0 (builtins.stringLength text - builtins.stringLength suffix) text
    else text;

  # escapeShellArg value: the value as one word of a POSIX shell.
  escapeShellArg = value: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString value)}'";

  # escapeShellArgs [ value ... ]: several words, a blank between them.
  escapeShellArgs = values: builtins.concatStringsSep " " (map escapeShellArg values);

  # storeName text: the text as the name of a store object, which may hold letters, digits and
  # + - . _ ? = only: every other character becomes an underscore, a leading dot too.
  # Debian's versions bring ~ and :, its URLs %, npm's packages @ and /.
  storeName = text:
    let
      clean = builtins.concatStringsSep "_"
        (builtins.filter builtins.isString (builtins.split "[^0-9a-zA-Z+._?=-]" text));
    in
    if hasPrefix "." clean then "_" + builtins.substring 1 (-1) clean else clean;
}
