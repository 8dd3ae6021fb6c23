# Comments of all kinds.
/**/ /* a * b ** / */ /***/ /** doc */ 1 + /* c */ 2 # end+ 3
# last