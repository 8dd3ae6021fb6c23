({ aa }: aa) { aa = 1; ab = 2; }
