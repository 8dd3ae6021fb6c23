[ x (map (y: y) [ 1 ]) ]
