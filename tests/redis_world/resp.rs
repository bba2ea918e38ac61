//! The protocol of Redis, as far as a proxy and a small client need it.

/// An answer of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `OK` and the like.
    Simple(String),
    /// What the server refused, with its code first.
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    Nil,
    List(Vec<Value>),
}

impl Value {
    /// A word or a number as text. Panics on anything else.
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Value::Simple(text) => text.clone(),
            Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::Int(number) => number.to_string(),
            Value::Error(_) | Value::Nil | Value::List(_) => panic!("{self:?} is no text"),
        }
    }

    /// A number, also one that is told as text. Panics on anything else.
    #[track_caller]
    pub fn int(&self) -> i64 {
        self.text().parse().unwrap_or_else(|_| panic!("{self:?} is no number"))
    }

    /// The parts of a list. Panics on anything else.
    #[track_caller]
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(values) => values,
            Value::Simple(_) | Value::Error(_) | Value::Int(_) | Value::Bulk(_) | Value::Nil => {
                panic!("{self:?} is no list")
            }
        }
    }

    /// A list of names, each followed by its value, as a lookup.
    #[track_caller]
    pub fn get(&self, name: &str) -> &Value {
        let pairs = self.list().chunks_exact(2);
        let mut found = pairs.filter(|pair| pair[0].text() == name);
        found.next().map_or_else(|| panic!("no {name} in {self:?}"), |pair| &pair[1])
    }

    /// One whole value of RESP2 and what follows it. Panics on anything else: [`Framer`] has seen it before.
    pub(super) fn read(bytes: &[u8]) -> (Value, &[u8]) {
        let end = line_end(bytes).expect("a whole line");
        let text = || String::from_utf8_lossy(&bytes[1..end]).into_owned();
        let rest = &bytes[end + 2..];
        match (bytes[0], number(&bytes[1..end])) {
            (b'+', _) => (Value::Simple(text()), rest),
            (b'-', _) => (Value::Error(text()), rest),
            (b':', Some(number)) => (Value::Int(number), rest),
            (b'$' | b'*', Some(..0)) | (b'_', _) => (Value::Nil, rest),
            (b'$', Some(length)) => {
                let length = usize::try_from(length).expect("not negative");
                (Value::Bulk(rest[..length].to_vec()), &rest[length + 2..])
            }
            (b'*', Some(many)) => {
                let mut rest = rest;
                let values = (0..many).map(|_| {
                    let (value, after) = Value::read(rest);
                    rest = after;
                    value
                });
                (Value::List(values.collect()), rest)
            }
            _ => panic!("{:?} is no value of RESP2", String::from_utf8_lossy(bytes)),
        }
    }
}

/// A request as the bytes that say it.
pub fn request<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The first words of a whole request, in capitals, for telling commands apart: `["CLIENT", "SETINFO"]`. Empty for what is
/// no request.
pub fn command(request: &[u8]) -> Vec<String> {
    if request.first() != Some(&b'*') {
        let line = String::from_utf8_lossy(request);
        return line.split_whitespace().take(2).map(str::to_uppercase).collect();
    }
    let mut words = Vec::new();
    let mut rest = &request[line_end(request).map_or(request.len(), |end| end + 2)..];
    while words.len() < 2
        && let Some(end) = line_end(rest)
        && let Some(length) = number(rest.get(1..end).unwrap_or_default())
        && let Some(word) = usize::try_from(length).ok().and_then(|length| rest.get(end + 2..end + 2 + length))
    {
        words.push(String::from_utf8_lossy(word).to_uppercase());
        rest = rest.get(end + 4 + word.len()..).unwrap_or_default();
    }
    words
}

/// Bytes that are not RESP, such as those of TLS.
#[derive(Debug, PartialEq, Eq)]
pub struct NotResp;

/// Finds where values end in bytes that come in pieces, RESP2 and RESP3, and the one-line requests that people type. It
/// remembers how far it got, so that a long value is looked at once.
#[derive(Debug, Default)]
pub struct Framer {
    scanned: usize,
    /// How many values are still to come before the one that was begun is whole.
    open: u64,
}

impl Framer {
    /// The length of the first value, once it is whole. Until then it has to be asked again with the same bytes and more.
    pub fn whole(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotResp> {
        if self.scanned == 0 {
            self.open = 1;
        }
        while self.open > 0 {
            let rest = &bytes[self.scanned..];
            let Some(&kind) = rest.first() else { return Ok(None) };
            let typed = self.scanned == 0 && kind.is_ascii_alphabetic();
            if !typed && !b"+-:_#,($!=*~>%|".contains(&kind) {
                return Err(NotResp);
            }
            let Some(end) = line_end(rest) else { return Ok(None) };
            let many = || number(&rest[1..end]).map(|n| u64::try_from(n).unwrap_or(0)).ok_or(NotResp);
            let mut length = end + 2;
            match kind {
                b'$' | b'!' | b'=' => {
                    if let Ok(bytes) = usize::try_from(number(&rest[1..end]).ok_or(NotResp)?) {
                        length += bytes + 2;
                    }
                    if rest.len() < length {
                        return Ok(None);
                    }
                }
                b'*' | b'~' | b'>' => self.open += many()?,
                b'%' => self.open += 2 * many()?,
                // An attribute stands before the value that it says something about.
                b'|' => self.open += 2 * many()? + 1,
                _ => {}
            }
            self.open -= 1;
            self.scanned += length;
        }
        let length = self.scanned;
        self.scanned = 0;
        Ok(Some(length))
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|two| two == b"\r\n")
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
