use super::Flags;
use super::class::{DIGIT, Escape, SPACE, WORD, literal, translate_class};

/// Expressions of the `regex` crate that together mean the pattern.
pub(super) struct Translated {
    pub(super) main: String,
    pub(super) assertions: Vec<(String, bool)>,
}

pub(super) fn translate(source: &str, flags: Flags) -> Result<Translated, String> {
    let mut assertions = Vec::new();
    let mut rest = source;
    if let Some(mut after) = source.strip_prefix('^').filter(|_| !flags.multi_line) {
        while let Some(expected) = assertion(after) {
            let body = &after[3..];
            let end = group_end(body).ok_or("has an unclosed group")?;
            assertions.push((format!(r"\A(?:{})", expression(&body[..end], flags)?), expected));
            after = &body[end + 1..];
        }
        if !assertions.is_empty() {
            rest = after;
        }
    }
    let mut main = expression(rest, flags)?;
    if !assertions.is_empty() {
        if has_alternatives(rest) {
            return Err("uses look-ahead in one of several alternatives".to_owned());
        }
        main = format!(r"\A(?:{main})");
    }
    Ok(Translated { main, assertions })
}

/// Whether a look-ahead begins here, and what it expects.
fn assertion(text: &str) -> Option<bool> {
    match text.get(..3)? {
        "(?=" => Some(true),
        "(?!" => Some(false),
        _ => None,
    }
}

/// Where the group ends whose opening parenthesis was just before `text`.
fn group_end(text: &str) -> Option<usize> {
    scan(text, |character, depth| character == ')' && depth == 0)
}

fn has_alternatives(text: &str) -> bool {
    scan(text, |character, depth| character == '|' && depth == 0).is_some()
}

/// The first place outside of escapes and classes where `found` says yes.
fn scan(text: &str, found: impl Fn(char, usize) -> bool) -> Option<usize> {
    let (mut depth, mut in_class) = (0, false);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            ']' if in_class => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            _ if found(character, depth) => return Some(at),
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

fn expression(source: &str, flags: Flags) -> Result<String, String> {
    let mut input = Characters { rest: source };
    let mut out = String::with_capacity(source.len() * 2);
    while let Some(character) = input.next() {
        match character {
            '\\' => match input.peek() {
                Some('b') => {
                    input.next();
                    out.push_str(r"(?-u:\b)");
                }
                Some('B') => {
                    input.next();
                    out.push_str(r"\B");
                }
                _ => match input.escape()? {
                    Escape::Character(character) => out.push_str(&literal(character)),
                    Escape::Set(set) => out.push_str(&set),
                },
            },
            '[' => translate_class(&mut input, &mut out)?,
            '(' => open_group(&mut input, &mut out)?,
            '.' if flags.dot_all => out.push_str("(?s:.)"),
            '.' => out.push_str(r"[^\n\r\x{2028}\x{2029}]"),
            '^' if flags.multi_line => out.push_str("(?m:^)"),
            '^' => out.push_str(r"\A"),
            '$' if flags.multi_line => out.push_str("(?m:$)"),
            '$' => out.push_str(r"\z"),
            '{' => match quantifier(input.rest) {
                Some(length) => {
                    out.push('{');
                    out.push_str(&input.rest[..length]);
                    input.rest = &input.rest[length..];
                }
                None => out.push_str(r"\{"),
            },
            ')' | '|' | '*' | '+' | '?' => out.push(character),
            _ if flags.extended && character.is_whitespace() => {}
            '#' if flags.extended => {
                while input.next().is_some_and(|character| character != '\n') {}
            }
            _ => out.push_str(&literal(character)),
        }
    }
    Ok(out)
}

/// Groups are told by their number; names are dropped.
fn open_group(input: &mut Characters<'_>, out: &mut String) -> Result<(), String> {
    let Some(kind) = input.rest.strip_prefix('?') else {
        out.push('(');
        return Ok(());
    };
    for known in [":", "i:", "i)"] {
        if let Some(rest) = kind.strip_prefix(known) {
            out.push_str("(?");
            out.push_str(known);
            input.rest = rest;
            return Ok(());
        }
    }
    if kind.starts_with(['=', '!']) || kind.starts_with("<=") || kind.starts_with("<!") {
        return Err(
            "uses look-around, which is only supported as look-ahead right after a leading ^"
                .to_owned(),
        );
    }
    let name = kind.strip_prefix("P<").or_else(|| kind.strip_prefix('<'));
    match name.and_then(|name| name.split_once('>')) {
        Some((name, rest)) if !name.is_empty() => {
            out.push('(');
            input.rest = rest;
            Ok(())
        }
        _ => Err("has a group of an unknown kind".to_owned()),
    }
}

/// How long the rest of a quantifier is, after its opening brace.
fn quantifier(rest: &str) -> Option<usize> {
    let end = rest.find('}')?;
    let (least, most) = match rest[..end].split_once(',') {
        Some((least, most)) => (least, most),
        None => (&rest[..end], ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!least.is_empty() && digits(least) && digits(most)).then_some(end + 1)
}

/// The rest of a pattern.
pub(super) struct Characters<'a> {
    rest: &'a str,
}

impl Characters<'_> {
    pub(super) fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn peek_second(&self) -> Option<char> {
        self.rest.chars().nth(1)
    }

    pub(super) fn next_if(&mut self, expected: char) -> bool {
        let is_next = self.peek() == Some(expected);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Reads an escape after its backslash.
    pub(super) fn escape(&mut self) -> Result<Escape, String> {
        let character = self.next().ok_or("ends in a backslash")?;
        let set = |inside: &str| Ok(Escape::Set(format!("[{inside}]")));
        let others = |inside: &str| Ok(Escape::Set(format!("[^{inside}]")));
        let one = |character: char| Ok(Escape::Character(character));
        match character {
            'd' => set(DIGIT),
            'D' => others(DIGIT),
            'w' => set(WORD),
            'W' => others(WORD),
            's' => set(SPACE),
            'S' => others(SPACE),
            't' => one('\t'),
            'n' => one('\n'),
            'r' => one('\r'),
            'v' => one('\u{b}'),
            'f' => one('\u{c}'),
            '0' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => one('\0'),
            '0'..='9' | 'k' => Err("uses a back reference, which is not supported".to_owned()),
            'c' => match self.next() {
                Some(letter @ ('a'..='z' | 'A'..='Z')) => one(char::from(letter as u8 % 32)),
                _ => Err("has an incomplete control escape".to_owned()),
            },
            'x' => self.hexadecimal(2).and_then(char::from_u32).map_or_else(|| one('x'), one),
            'u' => self.code_point(),
            'p' | 'P' => {
                let end = self.rest.find('}').filter(|_| self.rest.starts_with('{'));
                let end = end.ok_or("has an incomplete property escape")?;
                let property = format!("[\\{character}{}]", &self.rest[..=end]);
                self.rest = &self.rest[end + 1..];
                Ok(Escape::Set(property))
            }
            'a'..='z' | 'A'..='Z' => Err(format!("has an unknown escape \\{character}")),
            _ => one(character),
        }
    }

    fn code_point(&mut self) -> Result<Escape, String> {
        if let Some((digits, rest)) =
            self.rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))
        {
            let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
            self.rest = rest;
            return code.map(Escape::Character).ok_or_else(|| "has a bad code point".to_owned());
        }
        let Some(unit) = self.hexadecimal(4) else { return Ok(Escape::Character('u')) };
        if let Some(character) = char::from_u32(unit) {
            return Ok(Escape::Character(character));
        }
        let pair = self.rest.strip_prefix("\\u").and_then(|rest| {
            self.rest = rest;
            let low = self.hexadecimal(4)?;
            char::decode_utf16([u16::try_from(unit).ok()?, u16::try_from(low).ok()?]).next()?.ok()
        });
        pair.map(Escape::Character).ok_or_else(|| "has half of a surrogate pair".to_owned())
    }

    fn hexadecimal(&mut self, length: usize) -> Option<u32> {
        let digits = self.rest.get(..length)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_number)?;
        self.rest = &self.rest[length..];
        Some(number)
    }
}
