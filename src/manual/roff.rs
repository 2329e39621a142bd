//! Man pages: headings, paragraphs, items and examples as `man(7)` wants them. Words in `backticks` come out bold.

/// Lines of the source are broken before they are longer.
const WIDTH: usize = 79;

/// What the pages say of their age.
const DATE: &str = "2026-11-23";

/// A page under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    text: String,
}

impl Page {
    /// A page with its name, its section and, in a line, what it is about.
    pub fn new(name: &str, section: u8, about: &str) -> Page {
        let volume = match section {
            1 => "User Commands",
            5 => "File Formats",
            _ => "System Administration",
        };
        let version = env!("CARGO_PKG_VERSION");
        let title = name.to_uppercase();
        let text = format!(".TH {title} {section} {DATE} \"supervice {version}\" \"{volume}\"\n");
        let mut page = Page { text };
        page.heading("NAME");
        page.line(&format!("{name} - {about}"));
        page
    }

    /// Begins a section.
    pub fn heading(&mut self, title: &str) {
        self.text.push_str(&format!(".SH \"{}\"\n", title.replace('"', "")));
    }

    /// Begins a part of a section.
    pub fn part(&mut self, title: &str) {
        self.text.push_str(&format!(".SS \"{}\"\n", escaped(title).replace('"', "\\(dq")));
    }

    /// How a program is called; once for each way.
    pub fn synopsis(&mut self, words: &str) {
        let (program, rest) = words.split_once(' ').unwrap_or((words, ""));
        if !self.is_below_heading() {
            self.text.push_str(".br\n");
        }
        self.term(&format!("`{program}` {rest}"));
    }

    /// What goes on in lines of its own; blank lines separate paragraphs.
    pub fn prose(&mut self, text: &str) {
        for (at, block) in blocks(text).into_iter().enumerate() {
            if block.iter().all(|line| line.starts_with("  ")) {
                self.example(&block);
                continue;
            }
            if at > 0 || !self.is_below_heading() {
                self.text.push_str(".PP\n");
            }
            block.iter().for_each(|line| self.line(line));
        }
    }

    /// A term, and what there is to say of it.
    pub fn item(&mut self, term: &str, text: &str) {
        self.text.push_str(".TP\n");
        self.term(term);
        let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
        if lines.peek().is_none() {
            self.line("");
        }
        lines.for_each(|line| self.line(line));
    }

    /// Lines as they stand.
    pub fn example(&mut self, lines: &[&str]) {
        // Nothing stands between a heading and what is below it.
        self.text.push_str(if self.is_below_heading() { ".RS 4\n.nf\n" } else { ".PP\n.RS 4\n.nf\n" });
        let shared = lines.iter().filter(|line| !line.trim().is_empty());
        let margin = shared.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
        for line in lines {
            let inner = line.get(margin..).unwrap_or_default();
            self.text.push_str(&guarded(&escaped(inner)));
            self.text.push('\n');
        }
        self.text.push_str(".fi\n.RE\n");
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }

    fn is_below_heading(&self) -> bool {
        self.text.lines().next_back().is_some_and(|last| last.starts_with(".S"))
    }

    /// In one line, whatever its length.
    fn term(&mut self, term: &str) {
        self.text.push_str(&guarded(&bold(&escaped(term.trim()))));
        self.text.push('\n');
    }

    fn line(&mut self, line: &str) {
        let text = bold(&escaped(line.trim()));
        let mut length = 0;
        for word in text.split_whitespace() {
            if length > 0 && length + 1 + word.len() > WIDTH {
                self.text.push('\n');
                length = 0;
            }
            let word = if length == 0 { guarded(word) } else { format!(" {word}") };
            self.text.push_str(&word);
            length += word.len();
        }
        // An empty line would be a gap in the page.
        self.text.push_str(if text.is_empty() { "\\&\n" } else { "\n" });
    }
}

fn blocks(text: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    for line in text.lines() {
        let verbatim = line.starts_with("  ");
        match blocks.last_mut() {
            Some(block) if !line.trim().is_empty() => {
                let fits = block.first().is_none_or(|first| first.starts_with("  ") == verbatim);
                if fits { block.push(line) } else { blocks.push(vec![line]) }
            }
            _ => blocks.push(Vec::new()),
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// Every sign as itself, so that what is copied from a page can be typed.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            other => out.push(other),
        }
    }
    out
}

/// `word` in bold; a backtick without its partner stands for itself.
fn bold(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let mut out = String::with_capacity(text.len());
    for (at, part) in parts.iter().enumerate() {
        let closed = at + 1 < parts.len();
        match at % 2 {
            1 if closed => out.push_str(&format!("\\fB{part}\\fR")),
            1 => out.push_str(&format!("\\(ga{part}")),
            _ => out.push_str(part),
        }
    }
    out
}

/// A line that looks like a request is none.
fn guarded(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_comes_out_as_itself() {
        let mut page = Page::new("x", 8, "does -x");
        page.heading("OPTIONS");
        page.prose(".dot 'quoted' \\ ~ ^ `bold -f` and a lone `\n\n  $ x --y\n  .z");
        page.item("`-f` FILE", "");
        let text = page.finish();
        assert!(text.starts_with(".TH X 8 ") && text.contains("x \\- does \\-x\n.SH \"OPTIONS\"\n"), "{text}");
        assert!(
            text.contains("\\&.dot \\(aqquoted\\(aq \\e \\(ti \\(ha \\fBbold \\-f\\fR and a lone \\(ga\n"),
            "{text}"
        );
        assert!(text.contains(".nf\n$ x \\-\\-y\n\\&.z\n.fi\n"), "{text}");
        assert!(text.ends_with(".TP\n\\fB\\-f\\fR FILE\n\\&\n"), "{text}");
    }
}
