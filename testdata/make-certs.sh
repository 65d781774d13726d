#!/usr/bin/env bash
# Makes the test certificates in this directory again, or verifies them:
#
#	testdata/make-certs.sh [make|verify]
#
# For ca, server and client, NAME is:
#
#	NAME.crt         the certificate
#	NAME.key         its private key, bare
#	NAME.enc.key     its private key, under the password
#	NAME.pem         certificate and bare key in one file
#	NAME.p12 .pfx    certificate, key and CA as PKCS#12, under the password
#
# There is no file of Diffie-Hellman parameters: TLS in Go has no key exchange
# that would need one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

days=3653 # ten years
password=qwerty
server_names=(server.example.com localhost)
server_addresses=(127.0.0.1 ::1)
client_name=client.example.com

main() {
	case ${1-make} in
	make) make_all && verify_all ;;
	verify) verify_all ;;
	*)
		echo "usage: $0 [make|verify]" >&2
		exit 2
		;;
	esac
}

make_all() {
	new_key ca
	openssl req -x509 -new -key ca.key -days "$days" -subj '/O=chanio/CN=chanio test CA' -out ca.crt \
		-addext 'basicConstraints = critical, CA:true' -addext 'keyUsage = critical, keyCertSign, cRLSign'
	pack ca

	new_key server
	sign server "${server_names[0]}" serverAuth \
		"$(printf 'DNS:%s,' "${server_names[@]}")$(printf 'IP:%s,' "${server_addresses[@]}")"
	pack server

	new_key client
	sign client "$client_name" clientAuth "DNS:$client_name"
	pack client
}

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

# sign makes $1.crt: its common name $2, for the purpose $3. Clients look at the
# alternative names $4 only.
sign() {
	openssl req -new -key "$1.key" -subj "/O=chanio/CN=$2" |
		openssl x509 -req -CA ca.crt -CAkey ca.key -days "$days" -out "$1.crt" -extfile <(
			echo 'basicConstraints = critical, CA:false'
			echo 'keyUsage = critical, digitalSignature'
			echo "extendedKeyUsage = $3"
			echo "subjectAltName = ${4%,}"
			echo 'subjectKeyIdentifier = hash'
			echo 'authorityKeyIdentifier = keyid'
		)
}

# pack makes the other forms of $1.crt and $1.key.
pack() {
	openssl pkcs8 -topk8 -in "$1.key" -passout "pass:$password" -out "$1.enc.key"
	cat "$1.crt" "$1.key" >"$1.pem"
	local chain=()
	[[ $1 == ca ]] || chain=(-certfile ca.crt)
	openssl pkcs12 -export -in "$1.crt" -inkey "$1.key" ${chain[@]+"${chain[@]}"} \
		-name "chanio test $1" -passout "pass:$password" -out "$1.p12"
	cp "$1.p12" "$1.pfx"
}

verify_all() {
	local name
	for name in "${server_names[@]}"; do
		openssl verify -x509_strict -CAfile ca.crt -purpose sslserver -verify_hostname "$name" server.crt
	done
	for name in "${server_addresses[@]}"; do
		openssl verify -x509_strict -CAfile ca.crt -purpose sslserver -verify_ip "$name" server.crt
	done
	openssl verify -x509_strict -CAfile ca.crt -purpose sslclient -verify_hostname "$client_name" client.crt
	for name in ca server client; do
		verify_forms "$name"
	done
}

# verify_forms proves that all forms hold the same certificate and key.
verify_forms() {
	local cert key file
	cert=$(openssl x509 -in "$1.crt")
	key=$(openssl pkey -in "$1.key")
	same "$1.crt and $1.key" "$(openssl x509 -in "$1.crt" -noout -pubkey)" "$(openssl pkey -in "$1.key" -pubout)"
	same "$1.enc.key" "$(openssl pkey -in "$1.enc.key" -passin "pass:$password")" "$key"
	same "$1.pem" "$(openssl x509 -in "$1.pem")$(openssl pkey -in "$1.pem")" "$cert$key"
	for file in "$1.p12" "$1.pfx"; do
		same "$file" "$(openssl pkcs12 -in "$file" -passin "pass:$password" -clcerts -nokeys | openssl x509)" "$cert"
		same "$file" "$(openssl pkcs12 -in "$file" -passin "pass:$password" -nocerts -nodes | openssl pkey)" "$key"
	done
	echo "$1: all forms agree"
}

same() {
	if [[ $2 != "$3" ]]; then
		echo "$1: not the same certificate or key" >&2
		exit 1
	fi
}

main "$@"
