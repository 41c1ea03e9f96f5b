//! The server's side: nothing but the bytes, each at its time.

use std::time::Duration;

use plimsoll::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::measure;
use crate::workload::{self, Pace, Workload};

pub fn serve(workload: Workload) {
    measure::pin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let listener = socket.listen(4_096).expect("it listens");
        println!("{}", listener.local_addr().expect("it is bound").port());
        let clock = Clock::start();
        for number in 0.. {
            let (stream, _) = listener.accept().await.expect("descriptors suffice");
            stream.set_nodelay(true).expect("TCP knows this");
            tokio::spawn(async move {
                // The client hangs up when it has measured.
                let _ = stream_to(stream, number, workload.pace, clock).await;
            });
        }
    });
}

async fn stream_to(mut stream: TcpStream, number: u64, pace: Pace, clock: Clock) -> std::io::Result<()> {
    let mut request = vec![0; 2_048];
    while stream.read(&mut request).await? > 0 {
        match pace {
            Pace::AtOnce(chunks) => stream.write_all(workload::response(chunks).as_bytes()).await?,
            Pace::Idle => {
                stream.write_all(workload::HEAD.as_bytes()).await?;
                stream.write_all(workload::chunk().as_bytes()).await?;
            }
            Pace::Every(gap) => {
                // Fewer than any client may want to keep: the buffer is not part of what is compared.
                request = Vec::new();
                stream.write_all(workload::HEAD.as_bytes()).await?;
                stream_paced(&mut stream, number, gap, clock).await?;
            }
        }
    }
    Ok(())
}

/// One event a gap, each stream at its own instants in the gap: however many streams there are, the events of all of them
/// together come evenly.
async fn stream_paced(stream: &mut TcpStream, number: u64, gap: Duration, clock: Clock) -> std::io::Result<()> {
    let gap_ns = u64::try_from(gap.as_nanos()).expect("a short gap");
    let (chunk, mut at_ns) = (workload::chunk(), workload::phase_ns(number, gap_ns));
    while at_ns < clock.now() {
        at_ns += gap_ns;
    }
    loop {
        clock.sleep_until(at_ns).await;
        stream.write_all(chunk.as_bytes()).await?;
        at_ns += gap_ns;
    }
}
