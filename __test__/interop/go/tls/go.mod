module tlsinterop

go 1.26
