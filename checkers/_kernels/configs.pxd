cdef class Configs:
    cdef unsigned long long[::1] words
    cdef int[::1] index
    cdef int[::1] stamps
    cdef int stamp
    cdef int mask
    cdef int stride
    cdef int keyed
    cdef bint merged
    cdef int room
    cdef int count

    cdef int clear(self) except -1 nogil
    cdef int grow(self) except -1
    cdef int place(self, int row) except -1 nogil
    cdef int add(self, unsigned long long[::1] row) except -1 nogil
    cdef int append(self, unsigned long long[::1] row) except -1 nogil
