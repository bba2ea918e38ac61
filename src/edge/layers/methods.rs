//! The table of the methods that are served: which stream, which are probes, and the only method names that may become
//! values of metrics.

use prost::Message;
use rustc_hash::FxHashMap;

/// What stands for a method that is not served, by the semantic conventions.
pub const OTHER: &str = "_OTHER";

/// One method that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// `package.Service/Method`, without a leading slash; [`OTHER`] for all that are not served.
    pub name: &'static str,
    /// Whether the request or the response is a stream.
    pub streaming: bool,
    /// Whether it is asked about the server rather than of it (health, reflection): never shed, never traced.
    pub probe: bool,
}

/// All methods that are served, found by the path of a request.
///
/// The names live as long as the process, so a table is made once for a server and shared by its layers.
#[derive(Debug)]
pub struct Methods {
    by_path: FxHashMap<&'static str, usize>,
    all: Vec<Method>,
}

impl Methods {
    /// An empty table: every method is [`OTHER`].
    pub fn none() -> Self {
        Self { by_path: FxHashMap::default(), all: vec![Method { name: OTHER, streaming: false, probe: false }] }
    }

    /// Adds the services of an encoded `FileDescriptorSet` that do the service's work.
    ///
    /// # Errors
    /// If the bytes are not a `FileDescriptorSet`.
    pub fn with_services(self, descriptors: &[u8]) -> Result<Self, prost::DecodeError> {
        self.with(descriptors, false)
    }

    /// Adds the services of an encoded `FileDescriptorSet` that are probes: health and reflection.
    ///
    /// # Errors
    /// If the bytes are not a `FileDescriptorSet`.
    pub fn with_probes(self, descriptors: &[u8]) -> Result<Self, prost::DecodeError> {
        self.with(descriptors, true)
    }

    fn with(mut self, descriptors: &[u8], probe: bool) -> Result<Self, prost::DecodeError> {
        for file in FileSet::decode(descriptors)?.files {
            for service in file.services {
                for method in service.methods {
                    let dot = if file.package.is_empty() { "" } else { "." };
                    let path = format!("/{}{dot}{}/{}", file.package, service.name, method.name);
                    self.add(path, method.client_streaming || method.server_streaming, probe);
                }
            }
        }
        Ok(self)
    }

    fn add(&mut self, path: String, streaming: bool, probe: bool) {
        if self.by_path.contains_key(path.as_str()) {
            return;
        }
        let path: &'static str = path.leak();
        self.by_path.insert(path, self.all.len());
        self.all.push(Method { name: &path[1..], streaming, probe });
    }

    /// The position in [`Methods::all`] of the method that `path` (`/package.Service/Method`) names; 0 if it is none.
    pub fn position(&self, path: &str) -> usize {
        self.by_path.get(path).copied().unwrap_or(0)
    }

    /// The method that `path` (`/package.Service/Method`) names, or the one named [`OTHER`].
    pub fn find(&self, path: &str) -> Method {
        self.all[self.position(path)]
    }

    /// All methods; the first is [`OTHER`].
    pub fn all(&self) -> &[Method] {
        &self.all
    }
}

// The few fields of google/protobuf/descriptor.proto that are needed here.

#[derive(Clone, PartialEq, Message)]
struct FileSet {
    #[prost(message, repeated, tag = "1")]
    files: Vec<File>,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "6")]
    services: Vec<ServiceDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct ServiceDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    methods: Vec<MethodDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct MethodDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bool, tag = "5")]
    client_streaming: bool,
    #[prost(bool, tag = "6")]
    server_streaming: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_the_contract() {
        let methods = Methods::none()
            .with_services(crate::proto::DESCRIPTORS)
            .and_then(|m| m.with_probes(tonic_health::pb::FILE_DESCRIPTOR_SET))
            .and_then(|m| m.with_probes(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET))
            .unwrap();
        let quote = methods.find("/surety.v1.PromiseService/Quote");
        assert_eq!(quote, Method { name: "surety.v1.PromiseService/Quote", streaming: false, probe: false });
        assert!(methods.find("/surety.v1.PromiseService/WatchQuote").streaming);
        assert!(methods.find("/surety.v1.OperationsService/SetSupply").streaming);
        let check = methods.find("/grpc.health.v1.Health/Check");
        assert!(check.probe && !check.streaming);
        assert!(methods.find("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").probe);
        for path in ["", "/", "surety.v1.PromiseService/Quote", "/surety.v1.PromiseService/Steal"] {
            assert_eq!(methods.find(path).name, OTHER, "{path:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_descriptors_are_refused() {
        assert!(Methods::none().with_services(b"\xff\xff").is_err());
    }
}
