cdef class Keys:
    cdef const signed char[::1] kind
    cdef const int[::1] value
    cdef const int[::1] old
    cdef const int[::1] invoke
    cdef const int[::1] ret
    cdef const long long[::1] offsets
    cdef signed char[::1] codes
    cdef int[::1] proofs
    cdef int[::1] known
    cdef int[::1] first  # of a root: f of its zone
    cdef int[::1] last  # of a root: s of its zone
    cdef int[::1] begin  # of a value: of its block, in the order that was found
    cdef int[::1] end
    cdef int[::1] waiting  # zones that are not forward, by s
    cdef int[::1] order  # roots, in the order that was found
    cdef Py_ssize_t ordered
    cdef Py_ssize_t lo
    cdef Py_ssize_t hi
    cdef Py_ssize_t proof  # where to write the events that prove the key at hand
    cdef bint nots

    cdef int one_key(self) except -1 nogil
    cdef int forget(self) except -1 nogil
    cdef int prove(self, int one, int two, int three, int four) except -1 nogil
    cdef int collect(self) except -1 nogil
    cdef int need(self) except -1 nogil
    cdef int link(self) except -1 nogil
    cdef int chains(self) except -1 nogil
    cdef int walk(self, int root) except -1 nogil
    cdef int zones(self) except -1 nogil
    cdef int emit(self, int root) except -1 nogil
    cdef int conflict(self, int one, int two) except -1 nogil
    cdef int failed_cas(self) except -1 nogil
    cdef int covered(self) except -1 nogil
    cdef int schedule(self) except -1 nogil
    cdef int delay(self) except -1 nogil
    cdef int order_again(self) except -1 nogil
