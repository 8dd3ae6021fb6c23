//! XML as tools read it from `nix-env`: elements with attributes, indented.

/// A document being written.
pub struct Xml {
    text: String,
    open: Vec<&'static str>,
}

impl Xml {
    /// A document with its first element open.
    pub fn new(root: &'static str) -> Self {
        let mut xml = Self { text: "<?xml version='1.0' encoding='utf-8'?>\n".to_owned(), open: Vec::new() };
        xml.open(root, &[]);
        xml
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, String)], end: &str) {
        self.text.push_str(&"  ".repeat(self.open.len()));
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            self.text.push_str(&format!(" {name}=\""));
            for letter in value.chars() {
                match letter {
                    '"' => self.text.push_str("&quot;"),
                    '<' => self.text.push_str("&lt;"),
                    '>' => self.text.push_str("&gt;"),
                    '&' => self.text.push_str("&amp;"),
                    '\n' => self.text.push_str("&#xA;"),
                    letter => self.text.push(letter),
                }
            }
            self.text.push('"');
        }
        self.text.push_str(end);
    }

    /// Opens an element.
    pub fn open(&mut self, name: &'static str, attributes: &[(&str, String)]) {
        self.tag(name, attributes, ">\n");
        self.open.push(name);
    }

    /// An element with nothing in it.
    pub fn empty(&mut self, name: &str, attributes: &[(&str, String)]) {
        self.tag(name, attributes, " />\n");
    }

    /// Closes the element that was opened last.
    pub fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.text.push_str(&format!("{}</{name}>\n", "  ".repeat(self.open.len())));
        }
    }

    /// The whole document.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }
}
