//! Texts nobody would write: a seeded generator, and the seed that makes a failure come back.

/// Draws numbers; the same seed draws the same.
pub struct Random(u64);

impl Random {
    /// `CONFIG_SEED` overrides the default.
    pub fn new(salt: u64) -> Random {
        let seed = std::env::var("CONFIG_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_260_101);
        Random(seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

const INDENTS: &[&str] =
    &["", "", "", "", " ", "  ", "\t", "    ", "\u{a0}", "\u{2003} ", "\u{c}", "\u{1c}", "\u{85}", "\u{feff}"];
const ENDINGS: &[&str] = &["\n", "\n", "\n", "\n", "\r\n", "\r", "\n\n", "\n \n", " \n", "\u{2028}\n"];
const LINES: &[&str] = &[
    "[a]",
    "[b]",
    "[a] ; c",
    "[program:x]",
    "[program: x ]",
    "[DEFAULT]",
    "[]",
    "[]]",
    "[a",
    "a]",
    "[a]b]",
    "[a]x=1",
    "[ ]",
    "x=1",
    "y = 2",
    "z: 3",
    "X=4",
    "w =",
    "=5",
    ":6",
    " = ",
    "x y = 7",
    "k[a]=1",
    "a:b=c",
    "a=b:c",
    "ü=ä",
    "İ=1",
    "ΑΣ=1",
    "ß=1",
    "junk",
    "two words",
    "\"quoted\"",
    "# comment",
    "; comment",
    "#",
    ";",
    "x=1 # no comment",
    "x=1 ; no comment",
    "rem x",
    "%(x)s",
    "x=%(y)s%%",
    "x=\\",
    "\\",
    "\u{a0}",
    "\u{1d}",
    "x\u{a0}=\u{a0}1\u{a0}",
    "command=sh -c 'a; b'",
    "A=1,",
    "B=\"2\"",
];

/// Lines drawn from a heap, with blanks of all kinds before and all sorts of endings.
pub fn soup(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    if random.one_in(8) {
        text.push('\u{feff}');
    }
    // Most texts begin with a section, or most would only say that it is missing.
    if !random.one_in(6) {
        text.push_str("[s]\n");
    }
    for _ in 0..random.below(14) {
        text.push_str(random.pick(INDENTS));
        text.push_str(random.pick(LINES));
        if random.one_in(3) {
            // Names that differ keep a text from failing by duplicates only.
            text = text.replace("x=", &format!("x{}=", random.below(1000)));
        }
        text.push_str(random.pick(ENDINGS));
    }
    if random.one_in(40) {
        let mut bytes = text.into_bytes();
        let at = random.below(bytes.len() + 1);
        bytes.insert(at, 0xff);
        return bytes;
    }
    text.into_bytes()
}

/// Configurations as people write them.
pub const REAL: &[&str] = &[
    "# A web shop\n[supervice]\nlogfile = /var/log/supervice.log\nloglevel = INFO\npidfile=/run/supervice.pid\nsocket: /run/supervice.sock\nshutdown_timeout = 30\n\n[program:web]\ncommand = /usr/bin/python3 -m http.server 8000\nnumprocs=2\nautostart=true\nautorestart=true\nstartsecs = 2\nstartretries = 5\nstopsignal = INT\nstopwaitsecs = 15\nstdout_logfile = /var/log/web-%(process_num)s.log\nenvironment = PORT=\"80%(process_num)s\",\n    MODE=production,\n    TEXT='a, b'\n; the checks\nhealthcheck_type = tcp\nhealthcheck_port = 80%(process_num)s\n\n[program:worker]\ncommand = sh -c 'while :; do date +%s; sleep 1; done'\n  # indented comment\nuser = nobody\ndirectory = /tmp\n\n[group:shop]\nprograms = web,\n  worker\n",
    "[DEFAULT]\nautorestart = false\nstartsecs : 0\n[program:once]\ncommand = /bin/echo \"hello \\\"world\\\"\"\n\n[program:twice]\ncommand=\n    /bin/sh\n    -c\n\n    'exit 3'\nexitcodes=0,3\nautorestart=unexpected\n",
    "\u{feff}[program:bom]\r\ncommand = sleep 100\r\nreconcile = kill\r\npdeathsig = no\r\n\r\n[program:script]\r\ncommand = sleep 5\r\nhealthcheck_type = script\r\nhealthcheck_command = test -f /tmp/ok\r\nhealthcheck_interval = 1.5\r\n",
];

/// A real configuration with a few things done to it.
pub fn mutant(random: &mut Random) -> Vec<u8> {
    let mut text: Vec<char> = random.pick(REAL).chars().collect();
    for _ in 0..=random.below(6) {
        let at = random.below(text.len());
        match random.below(6) {
            0 => drop(text.remove(at)),
            1 => text.insert(
                at,
                *random.pick(&[&'\n', &' ', &'=', &':', &'[', &']', &'#', &';', &'\r', &'\t', &'%', &'"', &'\u{2003}']),
            ),
            2 => text.splice(at..at, random.pick(INDENTS).chars()).for_each(drop),
            3 => text.splice(at..at, random.pick(LINES).chars().chain(['\n'])).for_each(drop),
            4 => move_line(&mut text, at, random),
            _ => text.swap(at, at.saturating_sub(1)),
        }
        if text.is_empty() {
            break;
        }
    }
    text.into_iter().collect::<String>().into_bytes()
}

/// Moves, doubles or deletes the line at `at`.
fn move_line(text: &mut Vec<char>, at: usize, random: &mut Random) {
    let start = text[..at].iter().rposition(|c| *c == '\n').map_or(0, |found| found + 1);
    let end = text[at..].iter().position(|c| *c == '\n').map_or(text.len(), |found| at + found + 1);
    let line: Vec<char> = if random.one_in(2) { text.drain(start..end).collect() } else { text[start..end].to_vec() };
    if !random.one_in(3) {
        let to = random.below(text.len() + 1);
        let to = text[..to].iter().rposition(|c| *c == '\n').map_or(0, |found| found + 1);
        text.splice(to..to, line);
    }
}

/// Up to `most` pieces drawn from a heap.
pub fn pieces(random: &mut Random, heap: &[&str], most: usize) -> String {
    (0..random.below(most + 1)).map(|_| random.pick(heap)).collect()
}
