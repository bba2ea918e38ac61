//! The use cases of the service, and the words in which they are asked for and answered.

pub mod request;
pub mod response;
