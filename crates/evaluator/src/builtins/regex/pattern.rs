//! Extended regular expressions, as libstdc++ reads them, to instructions.
//!
//! Source of the rules: POSIX extended syntax with libstdc++'s limits and choices (C++ Nix uses its `std::regex`): a
//! backslash may stand only before a special character, is literal inside brackets, and a dash there only begins, ends
//! or makes a range. Bytes, not characters.
//!
//! Absent: matching (`matcher.rs`).

/// Why a pattern cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PatternError {
    /// It is no pattern.
    Invalid,
    /// It asks for too much.
    TooLarge,
}

/// The most states of a pattern, as libstdc++ counts them.
const MOST_STATES: u64 = 100_000;
/// How deep groups may nest.
const MOST_DEPTH: u32 = 500;

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    const NONE: ByteSet = ByteSet([0; 4]);

    fn single(byte: u8) -> ByteSet {
        let mut set = ByteSet::NONE;
        set.add(byte);
        set
    }

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn add_all(&mut self, other: ByteSet) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    fn complement(self) -> ByteSet {
        ByteSet(self.0.map(|word| !word))
    }

    /// Whether a byte is in it.
    #[inline(always)]
    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
    }
}

/// One step of a compiled pattern; places are indices of instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instruction {
    /// This byte.
    Byte(u8),
    /// A byte of this set (index into [`Pattern::sets`]).
    Set(u32),
    /// As many bytes of the set as there are, at least and at most so many.
    Span {
        set: u32,
        least: u32,
        most: u32,
    },
    GroupStart(u32),
    GroupEnd(u32),
    /// The beginning of the text.
    Begin,
    /// The end of the text.
    End,
    /// First `more`, then, if that led nowhere, `out`. A body that may match nothing is entered at most twice at one
    /// place; `guard` numbers the counter for that.
    Repeat {
        more: u32,
        out: u32,
        guard: Option<u32>,
    },
    /// Both: the longer match counts, of equal ones that of `first`.
    Alternative {
        first: u32,
        second: u32,
    },
    Jump(u32),
    Accept,
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) sets: Vec<ByteSet>,
    /// Number of groups.
    pub(crate) groups: u32,
    /// Number of repeat counters.
    pub(crate) guards: u32,
    /// Whether there is a `|`: without one the first match found is the one.
    pub(crate) alternatives: bool,
    /// The bytes that a match can begin with, unless it can be empty.
    pub(crate) first: Option<ByteSet>,
}

#[derive(Clone, Debug)]
enum Tree {
    Set(ByteSet),
    Begin,
    End,
    Group(u32, Box<Tree>),
    Sequence(Vec<Tree>),
    Alternative(Box<Tree>, Box<Tree>),
    Star(Box<Tree>),
    Plus(Box<Tree>),
    Option(Box<Tree>),
    /// `{least,most}`
    Repeat(Box<Tree>, u32, Option<u32>),
}

/// How many states a tree takes.
#[derive(Clone, Copy)]
struct Sizes {
    /// With the originals of what is repeated.
    made: u64,
    /// Those that a copy has: what can be reached.
    copied: u64,
}

impl Sizes {
    fn with(self, other: Sizes) -> Sizes {
        Sizes { made: self.made.saturating_add(other.made), copied: self.copied.saturating_add(other.copied) }
    }

    fn and(self, more: u64) -> Sizes {
        self.with(Sizes { made: more, copied: more })
    }
}

impl Tree {
    fn may_be_empty(&self) -> bool {
        match self {
            Tree::Begin | Tree::End | Tree::Star(_) | Tree::Option(_) => true,
            Tree::Set(_) => false,
            Tree::Group(_, tree) | Tree::Plus(tree) => tree.may_be_empty(),
            Tree::Sequence(trees) => trees.iter().all(Tree::may_be_empty),
            Tree::Alternative(a, b) => a.may_be_empty() || b.may_be_empty(),
            Tree::Repeat(tree, least, _) => *least == 0 || tree.may_be_empty(),
        }
    }

    /// How many states libstdc++ makes for it: it copies what is repeated, and keeps the original.
    fn states(&self) -> u64 {
        self.sizes().made
    }

    fn sizes(&self) -> Sizes {
        match self {
            Tree::Set(_) | Tree::Begin | Tree::End => Sizes { made: 1, copied: 1 },
            Tree::Group(_, tree) => tree.sizes().and(2),
            Tree::Sequence(trees) => {
                trees.iter().fold(Sizes { made: 1, copied: 1 }, |sum, tree| sum.with(tree.sizes()))
            }
            Tree::Alternative(a, b) => a.sizes().with(b.sizes()).and(2),
            Tree::Star(body) | Tree::Plus(body) => body.sizes().and(1),
            Tree::Option(body) => body.sizes().and(2),
            Tree::Repeat(body, least, most) => {
                let Sizes { made, copied } = body.sizes();
                let copies = copied.saturating_mul(u64::from(*least));
                let optional = match most {
                    Some(most) => copied.saturating_add(1).saturating_mul(u64::from(most - least)),
                    None => copied,
                };
                let copied = copies.saturating_add(optional).saturating_add(2);
                Sizes { made: made.saturating_add(copied), copied }
            }
        }
    }

    /// Adds the bytes a match can begin with.
    fn first(&self, set: &mut ByteSet) {
        match self {
            Tree::Begin | Tree::End => {}
            Tree::Set(bytes) => set.add_all(*bytes),
            Tree::Group(_, tree)
            | Tree::Star(tree)
            | Tree::Plus(tree)
            | Tree::Option(tree)
            | Tree::Repeat(tree, ..) => tree.first(set),
            Tree::Sequence(trees) => {
                for tree in trees {
                    tree.first(set);
                    if !tree.may_be_empty() {
                        break;
                    }
                }
            }
            Tree::Alternative(a, b) => {
                a.first(set);
                b.first(set);
            }
        }
    }
}

impl Pattern {
    /// Reads and compiles a pattern.
    pub(crate) fn compile(text: &[u8]) -> Result<Pattern, PatternError> {
        let mut reader = Reader { text, at: 0, groups: 0, depth: 0, alternatives: false };
        let tree = reader.disjunction()?;
        if reader.at < text.len() {
            return Err(PatternError::Invalid);
        }
        // The whole is a group too, and ends in a state that accepts.
        if tree.states().saturating_add(3) > MOST_STATES {
            return Err(PatternError::TooLarge);
        }
        let mut first = ByteSet::NONE;
        tree.first(&mut first);
        let mut pattern = Pattern {
            instructions: Vec::new(),
            sets: Vec::new(),
            groups: reader.groups,
            guards: 0,
            alternatives: reader.alternatives,
            first: (!tree.may_be_empty()).then_some(first),
        };
        pattern.emit(&tree);
        pattern.push(Instruction::Accept);
        Ok(pattern)
    }

    fn push(&mut self, instruction: Instruction) -> u32 {
        self.instructions.push(instruction);
        self.instructions.len() as u32 - 1
    }

    fn here(&self) -> u32 {
        self.instructions.len() as u32
    }

    fn set_number(&mut self, set: ByteSet) -> u32 {
        match self.sets.iter().position(|known| *known == set) {
            Some(number) => number as u32,
            None => {
                self.sets.push(set);
                self.sets.len() as u32 - 1
            }
        }
    }

    fn emit(&mut self, tree: &Tree) {
        match tree {
            Tree::Set(set) => {
                let mut members = (0..=255).filter(|byte| set.has(*byte));
                let instruction = match (members.next(), members.next()) {
                    (Some(byte), None) => Instruction::Byte(byte),
                    _ => Instruction::Set(self.set_number(*set)),
                };
                self.push(instruction);
            }
            Tree::Begin => {
                self.push(Instruction::Begin);
            }
            Tree::End => {
                self.push(Instruction::End);
            }
            Tree::Group(number, tree) => {
                self.push(Instruction::GroupStart(*number));
                self.emit(tree);
                self.push(Instruction::GroupEnd(*number));
            }
            Tree::Sequence(trees) => {
                for tree in trees {
                    self.emit(tree);
                }
            }
            Tree::Alternative(a, b) => {
                let fork = self.push(Instruction::Jump(0));
                self.emit(a);
                let jump = self.push(Instruction::Jump(0));
                let second = self.here();
                self.instructions[fork as usize] = Instruction::Alternative { first: fork + 1, second };
                self.emit(b);
                self.instructions[jump as usize] = Instruction::Jump(self.here());
            }
            Tree::Star(body) => self.emit_repeat(body, 0, None),
            Tree::Plus(body) => self.emit_repeat(body, 1, None),
            Tree::Option(body) => self.emit_repeat(body, 0, Some(1)),
            Tree::Repeat(body, least, most) => self.emit_repeat(body, *least, *most),
        }
    }

    fn emit_repeat(&mut self, body: &Tree, least: u32, most: Option<u32>) {
        if let Tree::Set(set) = body {
            let set = self.set_number(*set);
            self.push(Instruction::Span { set, least, most: most.unwrap_or(u32::MAX) });
            return;
        }
        // `a+` repeats its one copy; all other forms have `least` copies first.
        let copies = if most.is_none() && least == 1 { 0 } else { least };
        for _ in 0..copies {
            self.emit(body);
        }
        match most {
            None => {
                let before = self.here();
                if least == 1 {
                    self.emit(body);
                }
                let fork = self.push(Instruction::Jump(0));
                let guard = self.guard(body);
                if least == 1 {
                    self.instructions[fork as usize] = Instruction::Repeat { more: before, out: fork + 1, guard };
                } else {
                    self.emit(body);
                    self.push(Instruction::Jump(fork));
                    self.instructions[fork as usize] = Instruction::Repeat { more: fork + 1, out: self.here(), guard };
                }
            }
            Some(most) => {
                let mut forks = Vec::new();
                for _ in least..most {
                    forks.push((self.push(Instruction::Jump(0)), self.guard(body)));
                    self.emit(body);
                }
                let out = self.here();
                for (fork, guard) in forks {
                    self.instructions[fork as usize] = Instruction::Repeat { more: fork + 1, out, guard };
                }
            }
        }
    }

    fn guard(&mut self, body: &Tree) -> Option<u32> {
        body.may_be_empty().then(|| {
            self.guards += 1;
            self.guards - 1
        })
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    groups: u32,
    depth: u32,
    alternatives: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn disjunction(&mut self) -> Result<Tree, PatternError> {
        let mut tree = self.sequence()?;
        while self.eat(b'|') {
            self.alternatives = true;
            tree = Tree::Alternative(Box::new(tree), Box::new(self.sequence()?));
        }
        Ok(tree)
    }

    fn sequence(&mut self) -> Result<Tree, PatternError> {
        let mut trees = Vec::new();
        while let Some(byte) = self.peek() {
            let atom = match byte {
                b'^' | b'$' => {
                    self.at += 1;
                    trees.push(if byte == b'^' { Tree::Begin } else { Tree::End });
                    continue;
                }
                b'.' => {
                    self.at += 1;
                    Tree::Set(ByteSet::single(0).complement())
                }
                b'(' => self.group()?,
                b'[' => {
                    self.at += 1;
                    Tree::Set(self.bracket()?)
                }
                b'\\' => {
                    let escaped = *self.text.get(self.at + 1).ok_or(PatternError::Invalid)?;
                    if !b".[\\()*+?{|^$".contains(&escaped) {
                        return Err(PatternError::Invalid);
                    }
                    self.at += 2;
                    Tree::Set(ByteSet::single(escaped))
                }
                b'|' | b')' => break,
                b'*' | b'+' | b'?' | b'{' | 0 => return Err(PatternError::Invalid),
                byte => {
                    self.at += 1;
                    Tree::Set(ByteSet::single(byte))
                }
            };
            let repeated = self.quantifiers(atom)?;
            trees.push(repeated);
        }
        Ok(Tree::Sequence(trees))
    }

    fn group(&mut self) -> Result<Tree, PatternError> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(PatternError::TooLarge);
        }
        let number = self.groups;
        self.groups += 1;
        let tree = self.disjunction()?;
        if !self.eat(b')') {
            return Err(PatternError::Invalid);
        }
        self.depth -= 1;
        Ok(Tree::Group(number, Box::new(tree)))
    }

    fn quantifiers(&mut self, mut tree: Tree) -> Result<Tree, PatternError> {
        for _ in 0..MOST_DEPTH {
            let repeat: fn(Box<Tree>) -> Tree = match self.peek() {
                Some(b'*') => Tree::Star,
                Some(b'+') => Tree::Plus,
                Some(b'?') => Tree::Option,
                Some(b'{') => {
                    self.at += 1;
                    let (least, most) = self.bounds()?;
                    tree = Tree::Repeat(Box::new(tree), least, most);
                    continue;
                }
                _ => return Ok(tree),
            };
            self.at += 1;
            tree = repeat(Box::new(tree));
        }
        Err(PatternError::TooLarge)
    }

    /// After `{`, up to and including `}`.
    fn bounds(&mut self) -> Result<(u32, Option<u32>), PatternError> {
        let least = self.number()?.ok_or(PatternError::Invalid)?;
        let mut most = Some(least);
        if self.eat(b',') {
            most = self.number()?;
        }
        if !self.eat(b'}') || most.is_some_and(|most| most < least) {
            return Err(PatternError::Invalid);
        }
        Ok((least, most))
    }

    fn number(&mut self) -> Result<Option<u32>, PatternError> {
        let start = self.at;
        let mut value: i32 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let next = value.checked_mul(10).and_then(|value| value.checked_add(i32::from(digit - b'0')));
            value = next.ok_or(PatternError::Invalid)?;
            self.at += 1;
        }
        Ok((self.at > start).then_some(value as u32))
    }

    /// A bracket expression after its `[`.
    fn bracket(&mut self) -> Result<ByteSet, PatternError> {
        let negated = self.eat(b'^');
        let mut set = ByteSet::NONE;
        let mut last = Last::None;
        // A dash or bracket that opens the expression is literal.
        if self.eat(b'-') {
            last = Last::Byte(b'-');
        } else if self.eat(b']') {
            last = Last::Byte(b']');
        }
        while self.bracket_item(&mut set, &mut last)? {}
        if let Last::Byte(byte) = last {
            set.add(byte);
        }
        Ok(if negated { set.complement() } else { set })
    }

    /// One item of a bracket expression; false at its end.
    fn bracket_item(&mut self, set: &mut ByteSet, last: &mut Last) -> Result<bool, PatternError> {
        let byte = self.peek().ok_or(PatternError::Invalid)?;
        self.at += 1;
        match byte {
            b']' => return Ok(false),
            b'-' => return self.dash(set, last),
            b'[' => match self.peek().ok_or(PatternError::Invalid)? {
                b'.' => {
                    let byte = collating_element(self.class_name(b'.')?)?;
                    set.add(byte);
                    last.push_byte(set, byte);
                }
                b'=' => {
                    let byte = collating_element(self.class_name(b'=')?)?;
                    last.push_class(set);
                    // Equivalent bytes differ in case only, in the C locale.
                    set.add(byte.to_ascii_lowercase());
                    set.add(byte.to_ascii_uppercase());
                }
                b':' => {
                    let class = character_class(self.class_name(b':')?)?;
                    last.push_class(set);
                    set.add_all(class);
                }
                _ => last.push_byte(set, b'['),
            },
            byte => last.push_byte(set, byte),
        }
        Ok(true)
    }

    /// After a dash inside brackets.
    fn dash(&mut self, set: &mut ByteSet, last: &mut Last) -> Result<bool, PatternError> {
        if self.eat(b']') {
            last.push_byte(set, b'-');
            return Ok(false);
        }
        let Last::Byte(start) = *last else { return Err(PatternError::Invalid) };
        let end = match self.peek().ok_or(PatternError::Invalid)? {
            b'[' if matches!(self.text.get(self.at + 1), Some(b'.' | b':' | b'=') | None) => {
                return Err(PatternError::Invalid);
            }
            byte => byte,
        };
        self.at += 1;
        // Bytes are compared as signed characters.
        if (start as i8) > (end as i8) {
            return Err(PatternError::Invalid);
        }
        for byte in start as i8..=end as i8 {
            set.add(byte as u8);
        }
        *last = Last::None;
        Ok(true)
    }

    /// The name in `[.name.]` and the like, at its first delimiter.
    fn class_name(&mut self, delimiter: u8) -> Result<&[u8], PatternError> {
        self.at += 1;
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|byte| *byte == delimiter).ok_or(PatternError::Invalid)?;
        if rest.get(length + 1) != Some(&b']') {
            return Err(PatternError::Invalid);
        }
        self.at += length + 2;
        Ok(&rest[..length])
    }
}

/// What stood last inside brackets: a byte that may begin a range, or something that may not.
enum Last {
    None,
    Byte(u8),
    Class,
}

impl Last {
    fn push_byte(&mut self, set: &mut ByteSet, byte: u8) {
        if let Last::Byte(before) = *self {
            set.add(before);
        }
        *self = Last::Byte(byte);
    }

    fn push_class(&mut self, set: &mut ByteSet) {
        if let Last::Byte(before) = *self {
            set.add(before);
        }
        *self = Last::Class;
    }
}

/// The names of the bytes below 128, by byte (POSIX, portable character set).
const COLLATING: &str = "NUL SOH STX ETX EOT ENQ ACK alert backspace tab newline vertical-tab form-feed carriage-return \
    SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC IS4 IS3 IS2 IS1 space exclamation-mark quotation-mark \
    number-sign dollar-sign percent-sign ampersand apostrophe left-parenthesis right-parenthesis asterisk plus-sign \
    comma hyphen period slash zero one two three four five six seven eight nine colon semicolon less-than-sign \
    equals-sign greater-than-sign question-mark commercial-at A B C D E F G H I J K L M N O P Q R S T U V W X Y Z \
    left-square-bracket backslash right-square-bracket circumflex underscore grave-accent a b c d e f g h i j k l m n \
    o p q r s t u v w x y z left-curly-bracket vertical-line right-curly-bracket tilde DEL";

fn collating_element(name: &[u8]) -> Result<u8, PatternError> {
    let byte = COLLATING.split(' ').position(|known| known.as_bytes() == name);
    byte.map(|byte| byte as u8).ok_or(PatternError::Invalid)
}

fn character_class(name: &[u8]) -> Result<ByteSet, PatternError> {
    let member: fn(u8) -> bool = match &name.to_ascii_lowercase()[..] {
        b"d" | b"digit" => |byte| byte.is_ascii_digit(),
        b"w" => |byte| byte.is_ascii_alphanumeric() || byte == b'_',
        b"s" | b"space" => |byte| matches!(byte, b' ' | 9..=13),
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| byte == b' ' || byte.is_ascii_graphic(),
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return Err(PatternError::Invalid),
    };
    let mut set = ByteSet::NONE;
    (0..=255).filter(|byte| member(*byte)).for_each(|byte| set.add(byte));
    Ok(set)
}
