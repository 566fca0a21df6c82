#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A small shop service to point the tracer at: `examples/service.py [SECONDS]`, default 20.

Four workers take orders from a queue. Handling one reads from a slow database over TCP, resizes an
image in pure Python, reserves stock under a lock and writes an audit log that is synced to disk.
A thumbnail thread computes all the time, so that there is something to wait for. Needs Python 3.9.
"""
import hashlib
import json
import os
import queue
import random
import socket
import sys
import tempfile
import threading
import time


class Database:
    """A slow server on a loopback socket, and a connection for each worker."""

    LATENCY = (0.004, 0.006, 0.008, 0.035)  # now and then a query is slow

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept_clients, name="database", daemon=True).start()

    def accept_clients(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(
                target=self.serve_client, args=(client,), name="database", daemon=True
            ).start()

    def serve_client(self, client):
        while client.recv(256):
            time.sleep(random.choice(self.LATENCY))
            client.sendall(json.dumps({"price": random.randint(100, 9999)}).encode())

    def connect(self):
        return socket.create_connection(self.listener.getsockname())


class Stock:
    """What is left of each article; one lock for all of it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.left = {}

    def reserve_item(self, article):
        with self.lock:
            self.check_inventory(article)
            self.left[article] = self.left.get(article, 1000) - 1

    def check_inventory(self, article):
        time.sleep(0.002)  # the lock is held meanwhile: this is what makes others wait
        return self.left.get(article, 0) >= 0


class AuditLog:
    def __init__(self, path):
        self.fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def write_audit_log(self, order):
        os.write(self.fd, (json.dumps(order) + "\n").encode())
        os.fsync(self.fd)


class Shop:
    def __init__(self, folder):
        self.database = Database()
        self.stock = Stock()
        self.log = AuditLog(os.path.join(folder, "audit.log"))
        self.orders = queue.Queue(maxsize=16)
        self.stopping = threading.Event()
        self.handled = 0

    def query_db(self, connection, article):
        connection.sendall(json.dumps({"article": article}).encode())
        return json.loads(connection.recv(256))

    def handle_order(self, connection, order):
        order["price"] = self.query_db(connection, order["article"])["price"]
        order["thumbnail"] = resize_image(order["article"], 24)
        self.stock.reserve_item(order["article"])
        self.log.write_audit_log(order)
        self.handled += 1

    def order_worker(self):
        connection = self.database.connect()
        while not self.stopping.is_set():
            try:
                order = self.orders.get(timeout=0.2)
            except queue.Empty:
                continue
            self.handle_order(connection, order)

    def receive_orders(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            try:
                self.orders.put({"number": number, "article": number % 97}, timeout=0.2)
            except queue.Full:
                pass
            time.sleep(random.expovariate(1 / 0.008))

    def refresh_thumbnails(self):
        article = 0
        while not self.stopping.is_set():
            resize_image(article % 97, 160)
            article += 1
            time.sleep(0.004)


def resize_image(article, size):
    """Computes: a checksum of a picture made up on the spot."""
    checksum = hashlib.sha256()
    for y in range(size):
        checksum.update(scale_row(article, y, size))
    return checksum.hexdigest()[:12]


def scale_row(article, y, size):
    row = bytearray(size)
    for x in range(size):
        row[x] = (x * y + article * 31) & 255
    return row


def start(name, function):
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


def run(seconds):
    with tempfile.TemporaryDirectory(prefix="example-service-") as folder:
        shop = Shop(folder)
        threads = [start(f"order-worker-{n}", shop.order_worker) for n in range(4)]
        threads.append(start("order-intake", shop.receive_orders))
        threads.append(start("thumbnails", shop.refresh_thumbnails))
        shop.stopping.wait(seconds)
        shop.stopping.set()
        for thread in threads:
            thread.join(5)
        return shop.handled


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"example service: process {os.getpid()}, for {seconds:g} s", flush=True)
    print(f"example service: {run(seconds)} orders handled", flush=True)


if __name__ == "__main__":
    main()
