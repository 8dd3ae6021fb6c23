import ./selfish.nix
