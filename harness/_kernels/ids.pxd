cdef class Ids:
    cdef const unsigned char[::1] data
    cdef int[::1] slots
    cdef public signed char[::1] kinds
    cdef public long long[::1] ones
    cdef public long long[::1] twos
    cdef unsigned long long mask
    cdef public int count
    cdef int limit

    cdef unsigned long long digest(self, int kind, long long one, long long two) except? 0 nogil
    cdef bint same(self, int number, int kind, long long one, long long two) except -1 nogil
    cdef int find(self, int kind, long long one, long long two) except -1 nogil
    cdef int place(self, int number) except -1
