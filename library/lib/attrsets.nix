# Attribute sets.
rec {
  # optionalAttrs condition set: the set, or the empty one.
  optionalAttrs = condition: set: if condition then set else { };

  # filterAttrs predicate set: the attributes for which `predicate name value` holds.
  filterAttrs = predicate: set:
    builtins.removeAttrs set
      (builtins.filter (name: !predicate name set.${name}) (builtins.attrNames set));

  # genAttrs names f: { <name> = f name; ... }
  genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);

  # mapAttrsToList f set: [ (f name value) ... ] in the order of the names.
  mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);

  # prefixAttrs prefix set: every name with a prefix.
  prefixAttrs = prefix: set:
    builtins.listToAttrs (mapAttrsToList (name: value: { name = prefix + name; inherit value; }) set);

  # isDerivation value: whether a value is the result of `derivation` or stands for one.
  isDerivation = value: builtins.isAttrs value && value ? type && value.type == "derivation";
}
