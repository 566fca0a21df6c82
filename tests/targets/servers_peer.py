# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Somebody on another loopback socket: answers each line after as many milliseconds as it says."""
import asyncio


async def serve(reader, writer):
    try:
        while True:
            line = await reader.readline()
            if not line:
                break
            await asyncio.sleep(int(line) / 1000)
            writer.write(b"answer\n")
            await writer.drain()
    except ConnectionError:
        pass  # it was no longer interested
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
