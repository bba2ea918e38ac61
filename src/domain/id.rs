//! Names that callers choose, checked once where they come in, cheap to pass on.

use std::borrow::Borrow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use super::limits::MAX_ID_BYTES;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, if it has 1 to [`MAX_ID_BYTES`] bytes and no control characters or outer white space.
            pub fn new(text: &str) -> Result<Self, String> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as shared text.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl From<Arc<str>> for $name {
            /// For text that was checked before, such as the network's own.
            fn from(text: Arc<str>) -> Self {
                Self(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

id!(
    /// A network's name: the unit of atomicity and of scale (rule 28).
    NetworkId
);
id!(
    /// A resource's name, unique in its network.
    ResourceId
);
id!(
    /// A reservation's name: the request id that made it (rule 20).
    ReservationId
);

impl NetworkId {
    /// The network that is meant where none is named (rule 28). Nearly every call means it, so its name is shared.
    pub fn default_network() -> Self {
        static NAME: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("default"));
        Self(Arc::clone(&NAME))
    }
}

/// Checks a name or SKU: 1 to [`MAX_ID_BYTES`] bytes, no control characters, no white space at its ends.
pub fn check(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("is empty; a name is needed".to_owned())
    } else if text.len() > MAX_ID_BYTES {
        Err(format!("has {} bytes; at most {MAX_ID_BYTES} are taken", text.len()))
    } else if text.chars().any(char::is_control) {
        Err(format!("{text:?} has control characters"))
    } else if text.trim() != text {
        Err(format!("{text:?} begins or ends with white space"))
    } else {
        Ok(())
    }
}
