//! The kinds of tokens and trivia, and their names in messages.

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum TokenKind {
    /// The end of the text (or a NUL byte between tokens, which ends it for C++ Nix too).
    EndOfFile,
    /// A byte that begins no token.
    Invalid,
    /// A name.
    Identifier,
    /// Text in a `"` string or in a path after an interpolation.
    StringText,
    /// Text in a `''` string.
    IndentedText,
    /// Digits.
    Integer,
    /// A number with a dot.
    Float,
    /// `./a`, `/a`, `a/b`.
    Path,
    /// `~/a`.
    HomePath,
    /// `<a/b>`.
    SearchPath,
    /// Where a path ends; no bytes.
    PathEnd,
    /// An unquoted URI.
    Uri,
    /// `if`
    If,
    /// `then`
    Then,
    /// `else`
    Else,
    /// `assert`
    Assert,
    /// `with`
    With,
    /// `let`
    Let,
    /// `in`
    In,
    /// `rec`
    Rec,
    /// `inherit`
    Inherit,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    LessEqual,
    /// `>=`
    GreaterEqual,
    /// `//`
    Update,
    /// `++`
    Concat,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `->`
    Implies,
    /// `or`, a keyword only after a selection
    OrKeyword,
    /// `<|`
    PipeFrom,
    /// `|>`
    PipeInto,
    /// `${`
    DollarBrace,
    /// `''`, with the rest of its line if that is blank
    IndentedOpen,
    /// `''`
    IndentedClose,
    /// `...`
    Ellipsis,
    /// `:`
    Colon,
    /// `@`
    At,
    /// `;`
    Semicolon,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Star,
    /// `/`
    Slash,
    /// `?`
    Question,
    /// `!`
    Not,
    /// `.`
    Dot,
    /// `"`
    Quote,
    /// `(`
    ParenOpen,
    /// `)`
    ParenClose,
    /// `{`
    BraceOpen,
    /// `}`
    BraceClose,
    /// `[`
    BracketOpen,
    /// `]`
    BracketClose,
    /// `=`
    Assign,
    /// `,`
    Comma,
}

impl TokenKind {
    /// Its name in messages, as C++ Nix has it.
    pub fn describe(self) -> &'static str {
        use TokenKind::*;
        match self {
            EndOfFile => "end of file",
            Invalid => "invalid token",
            Identifier => "identifier",
            StringText => "string",
            IndentedText => "indented string",
            Integer => "integer",
            Float => "floating-point literal",
            Path => "path",
            HomePath => "'~/…' path",
            SearchPath => "'<…>' path",
            PathEnd => "end of path",
            Uri => "URI",
            If => "'if'",
            Then => "'then'",
            Else => "'else'",
            Assert => "'assert'",
            With => "'with'",
            Let => "'let'",
            In => "'in'",
            Rec => "'rec'",
            Inherit => "'inherit'",
            Equal => "'=='",
            NotEqual => "'!='",
            LessEqual => "'<='",
            GreaterEqual => "'>='",
            Update => "'//'",
            Concat => "'++'",
            And => "'&&'",
            Or => "'||'",
            Implies => "'->'",
            OrKeyword => "'or'",
            PipeFrom => "'<|'",
            PipeInto => "'|>'",
            DollarBrace => "'${'",
            IndentedOpen => "start of an indented string",
            IndentedClose => "end of an indented string",
            Ellipsis => "'...'",
            Colon => "':'",
            At => "'@'",
            Semicolon => "';'",
            Less => "'<'",
            Greater => "'>'",
            Plus => "'+'",
            Minus => "'-'",
            Star => "'*'",
            Slash => "'/'",
            Question => "'?'",
            Not => "'!'",
            Dot => "'.'",
            Quote => "'\"'",
            ParenOpen => "'('",
            ParenClose => "')'",
            BraceOpen => "'{'",
            BraceClose => "'}'",
            BracketOpen => "'['",
            BracketClose => "']'",
            Assign => "'='",
            Comma => "','",
        }
    }
}

/// What stands between tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TriviaKind {
    /// Spaces, tabs, line ends.
    Whitespace,
    /// `# …` up to the end of the line.
    LineComment,
    /// `/* … */`.
    BlockComment,
    /// `/** … */`, the documentation of what follows it.
    DocComment,
}
