//! The collector that a server sends its metrics to, played by the test: it remembers the newest value of each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Sums of gauges and counters over their attributes, by name.
type Newest = Arc<Mutex<BTreeMap<String, f64>>>;

/// One server's collector.
pub struct Collector {
    address: SocketAddr,
    newest: Newest,
}

impl Collector {
    /// Begins one in the runtime at hand.
    pub async fn start() -> Collector {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let newest = Newest::default();
        let served = MetricsServiceServer::new(Heard(Arc::clone(&newest)));
        let router = tonic::transport::Server::builder().add_service(served);
        tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
        Collector { address, newest }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was told last under a name, if anything was since [`Collector::forget`].
    pub fn value(&self, name: &str) -> Option<f64> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// Before a server is started again, whose figures begin anew.
    pub fn forget(&self) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

struct Heard(Newest);

#[tonic::async_trait]
impl MetricsService for Heard {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let points = match metric.data {
                Some(Data::Gauge(gauge)) => gauge.data_points,
                Some(Data::Sum(sum)) => sum.data_points,
                _ => continue,
            };
            let values = points.iter().map(|point| match point.value {
                Some(Value::AsDouble(value)) => value,
                Some(Value::AsInt(value)) => value as f64,
                None => 0.0,
            });
            newest.insert(metric.name, values.sum());
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
