//! Regular expressions that users write for nginx (PCRE, without regard to case), run in time that is linear in the text that
//! they are matched with.
//!
//! What PCRE has beyond that, look-around and back-references, does not parse. The rest means the same, with two exceptions:
//! `$` is the end alone, not before a newline at the end too, and `++` and its like do not stop looking for other matches.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use regex_syntax::{Error as SyntaxError, ParserBuilder};

/// Bytes of a longer text are not read.
pub const LONGEST: usize = 4096;

/// How large the program of a pattern may be, in bytes: it bounds what matching a byte can cost.
const PROGRAM: usize = 64 * 1024;

/// How large the cache of a lazily built automaton may be, in bytes, for each thread that matches at a time.
const CACHE: usize = 128 * 1024;

/// How deep groups may be nested.
const NESTING: u32 = 64;

/// A longer text has none of the expressions in it that are matched with whole fields.
pub(crate) const LONGEST_FIELD: usize = 8 * 1024;

/// How many plain `{` are taken.
const PLAIN_BRACES: usize = 32;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is too long.
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    /// It does not parse. Look-around and back-references are among the causes.
    #[error("is no regular expression that is matched here ({0})")]
    Syntax(String),
    /// What it comes to is too large.
    #[error("comes to a program of more than {PROGRAM} bytes")]
    TooLarge,
}

/// A pattern that parses.
#[derive(Debug)]
pub(crate) struct Parsed {
    source: String,
    hir: Hir,
}

impl Parsed {
    /// Parses the text of a user, with `before` in front and `behind` at its end.
    pub(crate) fn new(before: &str, text: &str, behind: &str) -> Result<Self, PatternError> {
        if text.len() > LONGEST {
            return Err(PatternError::TooLong);
        }
        let mut source = [before, &bytewise(text), behind].concat();
        let mut parser =
            ParserBuilder::new().unicode(false).utf8(false).case_insensitive(true).nest_limit(NESTING).build();
        let mut left = PLAIN_BRACES;
        loop {
            match parser.parse(&source) {
                Ok(hir) => return Ok(Self { source, hir }),
                Err(error) => match plain_brace(&error, &source).filter(|_| left > 0) {
                    Some(at) => {
                        source.insert(at, '\\');
                        left -= 1;
                    }
                    None => return Err(PatternError::Syntax(reason(&error))),
                },
            }
        }
    }

    /// The bytes that everything begins with that the pattern, which starts with `^`, takes, in lower case and whatever its case;
    /// and whether it asks for nothing else.
    pub(crate) fn literal(&self) -> (Vec<u8>, bool) {
        let parts = match self.hir.kind() {
            HirKind::Concat(parts) => &parts[..],
            _ => std::slice::from_ref(&self.hir),
        };
        let mut literal = Vec::new();
        let Some((HirKind::Look(Look::Start), parts)) = parts.split_first().map(|(first, rest)| (first.kind(), rest))
        else {
            return (literal, false);
        };
        for part in parts {
            match part.kind() {
                HirKind::Literal(bytes) => literal.extend(bytes.0.iter().map(u8::to_ascii_lowercase)),
                HirKind::Class(class) => match letter(class) {
                    Some(letter) => literal.push(letter),
                    None => return (literal, false),
                },
                _ => return (literal, false),
            }
        }
        (literal, true)
    }

    /// The program.
    pub(crate) fn compile(&self) -> Result<Regex, PatternError> {
        limited(&self.source, true).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
            error => PatternError::Syntax(error.to_string()),
        })
    }
}

/// A regular expression over bytes, within what one user's may cost all others.
pub(crate) fn limited(source: &str, is_caseless: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source)
        .unicode(false)
        .case_insensitive(is_caseless)
        .nest_limit(NESTING)
        .size_limit(PROGRAM)
        .dfa_size_limit(CACHE)
        .build()
}

/// The text with every character outside ASCII as its bytes: PCRE, as nginx uses it, knows no others.
fn bytewise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        let mut room = [0; 4];
        for byte in character.encode_utf8(&mut room).bytes() {
            out.push_str(&format!("\\x{byte:02X}"));
        }
    }
    out
}

/// Where in `source` the `{` is that begins no repetition: in PCRE it is a plain character.
fn plain_brace(error: &SyntaxError, source: &str) -> Option<usize> {
    use regex_syntax::ast::ErrorKind;
    let SyntaxError::Parse(error) = error else { return None };
    let is_brace = matches!(
        error.kind(),
        ErrorKind::RepetitionCountUnclosed
            | ErrorKind::RepetitionCountDecimalEmpty
            | ErrorKind::DecimalEmpty
            | ErrorKind::DecimalInvalid
            | ErrorKind::RepetitionMissing
    );
    let until = source.get(..error.span().start.offset.checked_add(1)?).unwrap_or(source);
    let at = until.rfind('{').filter(|_| is_brace)?;
    // One that is plain already is not what is wrong.
    (!source[..at].ends_with('\\')).then_some(at)
}

/// What is wrong, in a line.
fn reason(error: &SyntaxError) -> String {
    match error {
        SyntaxError::Parse(error) => error.kind().to_string(),
        SyntaxError::Translate(error) => error.kind().to_string(),
        error => error.to_string().lines().last().unwrap_or_default().to_owned(),
    }
}

/// The letter, in lower case, that a class takes in either case and nothing else.
fn letter(class: &Class) -> Option<u8> {
    let (mut bytes, mut chars);
    let ranges: &mut dyn Iterator<Item = (u32, u32)> = match class {
        Class::Bytes(class) => {
            bytes = class.iter().map(|range| (range.start().into(), range.end().into()));
            &mut bytes
        }
        Class::Unicode(class) => {
            chars = class.iter().map(|range| (range.start().into(), range.end().into()));
            &mut chars
        }
    };
    let mut one = || ranges.next().filter(|(start, end)| start == end).and_then(|(start, _)| u8::try_from(start).ok());
    let (upper, lower) = (one()?, one()?);
    (ranges.next().is_none() && upper.is_ascii_uppercase() && lower == upper.to_ascii_lowercase()).then_some(lower)
}

#[cfg(test)]
mod tests;
