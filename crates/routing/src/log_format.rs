//! Formats of the access log: parsed once, with every mistake named, into a list of pieces to write.

mod variable;

pub use variable::Variable;

/// ingress-nginx's default `log-format-upstream`; parsers in log pipelines depend on every byte of it.
pub const NGINX: &str = concat!(
    r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "#,
    "$request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr ",
    "$upstream_response_length $upstream_response_time $upstream_status $req_id",
);

/// How the values of variables are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// As nginx does by default: quotes, backslashes, control bytes and everything outside ASCII as `\xXX`.
    #[default]
    Default,
    /// For values inside JSON strings (ConfigMap `log-format-escape-json`). The line is valid UTF-8 whatever was sent:
    /// bytes that are not become U+FFFD, and all that some reader takes for the end of a line is escaped.
    Json,
    /// Only control bytes, as `\xXX` (ConfigMap `log-format-escape-none`). nginx leaves these raw, too, and with them
    /// lets a client forge lines.
    None,
}

/// Why the text of a format does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFormatError {
    /// The text names no variable, so that every line would be the same.
    #[error(
        "the access log format `{0}` is none of `nginx`, `json` and `off`, and names no variable such as `$status`"
    )]
    NoVariable(String),
    /// A variable that does not exist.
    #[error("the access log format names the unknown variable `${name}` at byte {at}")]
    UnknownVariable {
        /// The name, without `$`.
        name: String,
        /// Where its `$` is, counted from 0.
        at: usize,
    },
    /// A `$` without a name behind it, or a `${` without its `}`.
    #[error("the access log format has a `$` at byte {0} that begins no variable: write `$name` or `${{name}}`")]
    BadVariable(usize),
}

/// A compiled format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    text: Box<str>,
    pieces: Box<[Piece]>,
    escape: Escape,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text that is in every line.
    Literal(Box<str>),
    /// What differs from line to line.
    Variable(Variable),
}

impl LogFormat {
    /// Compiles a format: text with `$name` or `${name}`.
    ///
    /// # Errors
    /// When it names a variable that does not exist, or none at all.
    pub fn parse(text: &str, escape: Escape) -> Result<Self, ParseFormatError> {
        let format = Self::parse_constant(text, escape)?;
        format.has_variable()?;
        Ok(format)
    }

    /// Compiles a text that need not differ from request to request.
    ///
    /// # Errors
    /// When it names a variable that does not exist.
    pub fn parse_constant(text: &str, escape: Escape) -> Result<Self, ParseFormatError> {
        let (format, unknown) = Self::compile(text, escape)?;
        match unknown.into_iter().next() {
            Some((name, at)) => Err(ParseFormatError::UnknownVariable { name, at }),
            None => Ok(format),
        }
    }

    /// Compiles a format in which variables that do not exist have no value, and names these with where their `$` is.
    ///
    /// # Errors
    /// When it names no variable at all.
    pub fn parse_leniently(text: &str, escape: Escape) -> Result<(Self, Vec<(String, usize)>), ParseFormatError> {
        let (format, unknown) = Self::compile(text, escape)?;
        format.has_variable()?;
        Ok((format, unknown))
    }

    fn has_variable(&self) -> Result<(), ParseFormatError> {
        let is_variable = |piece: &Piece| matches!(piece, Piece::Variable(_));
        let has_one = self.pieces.iter().any(is_variable);
        if has_one { Ok(()) } else { Err(ParseFormatError::NoVariable(self.text.to_string())) }
    }

    fn compile(text: &str, escape: Escape) -> Result<(Self, Vec<(String, usize)>), ParseFormatError> {
        let (mut pieces, mut unknown) = (Vec::new(), Vec::new());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            let at = text.len() - rest.len() + dollar;
            if dollar > 0 {
                pieces.push(Piece::Literal(rest[..dollar].into()));
            }
            let (name, behind) = split_name(&rest[dollar + 1..]).ok_or(ParseFormatError::BadVariable(at))?;
            let variable = Variable::parse(name).unwrap_or_else(|| {
                unknown.push((name.to_owned(), at));
                Variable::Unknown
            });
            pieces.push(Piece::Variable(variable));
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.into()));
        }
        Ok((Self { text: text.into(), pieces: pieces.into(), escape }, unknown))
    }

    /// The text that it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a line is made of.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How the values of variables are escaped.
    pub fn escape(&self) -> Escape {
        self.escape
    }
}

/// Splits what follows a `$` into the name and the rest.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = match text.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => text.split_at(text.find(|c: char| !is_name(c)).unwrap_or(text.len())),
    };
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, rest))
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
