# Fixed points: a set that refers to its own final form, and layers that change it.
rec {
  # fix f: the x for which x = f x.
  fix = f: let x = f x; in x;

  # extends overlay base: the function `base` of the final set, changed by an overlay
  # `final: previous: changes`.
  extends = overlay: base: final:
    let previous = base final;
    in previous // overlay final previous;

  # composeExtensions first second: one overlay that does what both do, the second seeing the
  # result of the first as `previous`.
  composeExtensions = first: second: final: previous:
    let
      changes = first final previous;
    in changes // second final (previous // changes);

  # composeManyExtensions [ first ... last ]: the same for a list; the empty list changes nothing.
  composeManyExtensions = builtins.foldl' composeExtensions (_: _: { });

  # fixWithOverlays base [ first ... last ]: the final set of `base` under overlays.
  fixWithOverlays = base: overlays: fix (extends (composeManyExtensions overlays) base);
}
