import { once } from 'node:events';
import { connect, createServer, type Server as TcpServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterTest, type Server } from './server.js';

/** What it does with what it is given. */
export type Weather = 'fine' | 'loses requests' | 'loses answers' | 'silent';

/** A port that leads to a server, whichever that is at the time. */
export class Network {
  weather: Weather = 'fine';
  /** The pieces that it was given and carried, or lost, so far. */
  carried = 0;
  lost = 0;
  private readonly sockets = new Set<Socket>();
  private readonly listener: TcpServer;

  private constructor(private target: Server | undefined) {
    this.listener = createServer((inner) => {
      const target = this.target;
      if (!target) {
        inner.destroy();
        return;
      }
      const outer = connect(target.port, '127.0.0.1');
      const carry = (from: Socket, to: Socket, loses: Weather) => {
        this.sockets.add(from);
        from.on('data', (data) => {
          if (this.weather === loses || this.weather === 'silent') {
            this.lost += 1;
            return;
          }
          to.write(data);
          this.carried += 1;
        });
        from.on('error', () => {});
        from.on('close', () => {
          this.sockets.delete(from);
          to.destroy();
        });
      };
      carry(inner, outer, 'loses requests');
      carry(outer, inner, 'loses answers');
    });
  }

  static async to(server: Server): Promise<Network> {
    const network = new Network(server);
    network.listener.listen(0, '127.0.0.1');
    await once(network.listener, 'listening');
    afterTest(() => {
      network.cut();
      network.listener.close();
    });
    return network;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.listener.address() as AddressInfo).port}/`;
  }

  /** Leads elsewhere from now on, or nowhere. */
  leadsTo(server: Server | undefined): void {
    this.target = server;
  }

  /** Ends every connection. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}
