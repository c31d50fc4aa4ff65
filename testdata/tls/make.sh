#!/bin/sh
# Makes the certificates of the Rust tests, valid for a hundred years. Run it in this folder.
set -e
work=$(mktemp -d)
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$1.key" 2>/dev/null; }
der() {
  openssl x509 -in "$work/$1.pem" -outform DER -out "$1.der"
  openssl pkcs8 -topk8 -nocrypt -in "$work/$1.key" -outform DER -out "$1-key.der"
}
issue() {
  key "$1"
  openssl req -new -key "$work/$1.key" -subj "/CN=$1" -out "$work/$1.csr"
  printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=critical,CA:FALSE\n' "$2" "$3" >"$work/$1.ext"
  openssl x509 -req -in "$work/$1.csr" -CA "$work/root.pem" -CAkey "$work/root.key" -days 36500 -extfile "$work/$1.ext" \
    -out "$work/$1.pem" 2>/dev/null
  der "$1"
}
key root
openssl req -x509 -key "$work/root.key" -subj /CN=netpoll-test-root -days 36500 -out "$work/root.pem"
der root
rm root-key.der
issue leaf DNS:localhost,IP:127.0.0.1 serverAuth
issue client DNS:client.example clientAuth
key self
openssl req -x509 -key "$work/self.key" -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 36500 -out "$work/self.pem"
der self
rm -r "$work"
