builtins.fromJSON ''[ 1''
