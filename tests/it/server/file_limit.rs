//! A process at its limit of open files.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::Command;

use tokio::net::TcpSocket;
use tonic::Code;

use super::support::client::Client;
use super::support::test_server::{TestServer, ms, settings, with_timeout};

#[test]
fn accepting_pauses_at_the_file_limit_and_continues_afterwards() {
    let script = "ulimit -n 64; exec \"$0\" --ignored --exact --nocapture server::file_limit::at_the_file_limit";
    let tests = std::env::current_exe().unwrap();

    let child = Command::new("sh").arg("-c").arg(script).arg(tests).output().unwrap();

    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{child:?}");
}

#[tokio::test]
#[ignore = "needs a process with a low limit of open files; the test above starts it"]
async fn at_the_file_limit() {
    let server = TestServer::start(&settings()).await;
    // The server has started once it answers. The connection stays open, for closing it would free two files.
    let client = server.client().await;
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
    let mut cpu = Cpu(File::open("/proc/self/stat").unwrap());
    let mut files: Vec<_> = std::iter::from_fn(|| TcpSocket::new_v4().ok()).collect();
    let socket = files.pop().unwrap();
    // The server cannot accept it, because this socket was the last file.
    let waiting = with_timeout(socket.connect(server.address())).await.unwrap();

    let mut windows = Vec::new();
    for _ in 0..10 {
        let before = cpu.ticks();
        tokio::time::sleep(ms(100)).await;
        windows.push(cpu.ticks() - before);
    }
    drop(files);

    // A busy loop would use 10 hundredths of a second in every window. On a busy machine some windows measure too much.
    assert!(windows.iter().any(|used| *used < 3), "{windows:?}");
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
    assert_eq!(Client::over(waiting).await.call("Echo").await.code(), Code::Ok);
}

/// The processor time of the process. The file is opened before the limit is reached.
struct Cpu(File);

impl Cpu {
    fn ticks(&mut self) -> u64 {
        let mut text = String::new();
        self.0.rewind().unwrap();
        self.0.read_to_string(&mut text).unwrap();
        // utime and stime are the 14th and 15th field; only the name before them can contain spaces.
        let (_, fields) = text.rsplit_once(") ").unwrap();
        fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
    }
}
