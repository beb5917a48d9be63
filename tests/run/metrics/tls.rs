//! A server whose certificate is signed by an authority of its own: trusted where the declaration names that authority
//! (`caFile`), and nowhere else. Certificates are made by openssl(1) as the test runs.

use std::sync::Arc;

use assert_cmd::Command;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

fn openssl(folder: &Path, line: &str) {
    let words = line.split_whitespace();
    Command::new("openssl")
        .current_dir(folder)
        .args(words)
        .assert()
        .success();
}

const NEW_KEY: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";

fn authority(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!("{NEW_KEY} -subj /CN={name} -keyout {name}.key -out {name}.pem"),
    );
}

/// Answers as many connections as there will be with the value 1; one that breaks off is one of them.
fn serve(folder: &Path, connections: usize) -> String {
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            let session = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
            while !String::from_utf8_lossy(&asked).contains("query=up") {
                match stream.read(&mut buffer) {
                    Ok(read @ 1..) => asked.extend_from_slice(&buffer[..read]),
                    Ok(0) | Err(_) => break,
                }
            }
            let body = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}");
            let _ = write!(stream, "{head}\r\n\r\n{body}");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}

#[tokio::test]
async fn its_declared_authority_is_trusted_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    authority(folder.path(), "its-own");
    authority(folder.path(), "another");
    openssl(
        folder.path(),
        &format!(
            "{NEW_KEY} -subj /CN=prom -keyout server.key -out server.pem -CA its-own.pem -CAkey its-own.key -addext \
             subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
        ),
    );
    let url = serve(folder.path(), 4);
    let answer = async |ca_file: Option<&Path>| {
        let server = MetricsServer {
            url: &url,
            token: None,
            ca_file,
        };
        Prometheus
            .query(server, "up", Duration::from_secs(20))
            .await
    };
    let own = path("its-own.pem");
    assert_eq!(answer(Some(&own)).await, value(1.0));
    let another = path("another.pem");
    for not_its_own in [Some(another.as_path()), None] {
        let refused = answer(not_its_own).await;
        assert!(
            matches!(&refused, Err(MetricsError::Refused(why)) if why.contains("it is not trusted")),
            "{refused:?}"
        );
    }
    // One of several in the file is enough.
    let both = [&another, &own].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(path("both.pem"), both.concat()).unwrap();
    assert_eq!(answer(Some(&path("both.pem"))).await, value(1.0));
}
